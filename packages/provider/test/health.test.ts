/** Health tells the truth about store, chain and claims; a provider on the wrong chain serves nothing. */
import { Deployment, Usdc } from '@drain/core'
import { ChainUnavailableError, memoryLedger, type Paywall } from '@drain/provider'
import { sqliteLedger } from '@drain/provider/sqlite'
import { toHex } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Fixture, startFixture } from './fixture.ts'
import { type RpcProxy, startRpcProxy } from './RpcProxy.ts'

const price = Usdc.parse('0.001')
let fixture: Fixture
let proxy: RpcProxy
beforeAll(async () => {
  fixture = await startFixture()
  proxy = await startRpcProxy(fixture.chain.rpcUrl)
})
afterAll(async () => {
  await proxy?.close()
  await fixture?.close()
})

async function health(paywall: Paywall) {
  const response = await paywall.endpoints(new Request('http://p.test/health'))
  return { status: response?.status, body: await response?.json() }
}
const pay = (paywall: Paywall, headers: Record<string, string>, quote = price) =>
  paywall.handle(new Request('http://p.test/x', { headers }), quote, () => new Response('paid'))

test('a provider that can do its work is ok, and asks its node not for every answer', async () => {
  const paywall = fixture.paywall({ rpcUrl: proxy.url })
  await paywall.ready()
  const before = proxy.count('eth_getBlockByNumber')
  for (let count = 0; count < 50; count += 1) {
    expect(await health(paywall)).toEqual({
      status: 200,
      body: { status: 'ok', provider: fixture.provider.address, chainId: 31337 },
    })
  }
  expect(proxy.count('eth_getBlockByNumber')).toBe(before)
})

test('without a node it is unavailable, says which part, and refuses to start', async () => {
  const paywall = fixture.paywall({ rpcUrl: proxy.url })
  proxy.isDown = true
  try {
    await expect(paywall.ready()).rejects.toThrow(ChainUnavailableError)
    const { status, body } = await health(paywall)
    expect([status, body.status, body.reasons]).toEqual([503, 'unavailable', ['chain_unreachable']])
    expect(JSON.stringify(body)).not.toContain('127.0.0.1')
  } finally {
    proxy.isDown = false
  }
})

test('a node of another chain is fatal: no start, no health, no service', async () => {
  const { contract, token } = fixture.chain.deployment
  const deployment = Deployment.from({ chainId: 1_337, contract, token })
  const paywall = fixture.paywall({ chainId: 1_337, deployment })
  await expect(paywall.ready()).rejects.toMatchObject({ code: 'wrong_chain' })
  expect(await health(paywall)).toMatchObject({ status: 503, body: { reasons: ['wrong_chain'] } })
  const channel = await fixture.open()
  const refused = await pay(paywall, await channel.voucher(price))
  expect([refused.status, refused.headers.get('X-DRAIN-Error')]).toEqual([503, 'unavailable'])
})

test('a node whose newest block is older than ten minutes is stuck, where blocks come by themselves', async () => {
  const deployment = { ...fixture.chain.deployment, chainId: 137 }
  const paywall = fixture.paywall({ rpcUrl: proxy.url, deployment, chainId: 137 })
  let age = 500
  proxy.lie = async ({ method }, ask) => {
    if (method === 'eth_chainId') return { result: '0x89' }
    const answer = await ask()
    if (method !== 'eth_getBlockByNumber') return answer
    const timestamp = toHex(Math.floor(Date.now() / 1_000) - age)
    return { result: { ...(answer.result as object), timestamp } }
  }
  try {
    await paywall.ready()
    expect(await health(paywall)).toMatchObject({ status: 200, body: { status: 'ok' } })
    age = 700
    await paywall.ready()
    const { status, body } = await health(paywall)
    expect([status, body.status, body.reasons]).toEqual([503, 'unavailable', ['chain_stuck']])
  } finally {
    proxy.lie = undefined
  }
})

test('an address without a contract is fatal too', async () => {
  const deployment = { ...fixture.chain.deployment, contract: fixture.stranger.address }
  const paywall = fixture.paywall({ deployment })
  await expect(paywall.ready()).rejects.toMatchObject({ code: 'no_contract' })
  expect(await health(paywall)).toMatchObject({ status: 503, body: { reasons: ['no_contract'] } })
})

test('a store that is closed under it is unreadable', async () => {
  const paywall = fixture.paywall({ ledger: memoryLedger({ log: () => {} }) })
  await paywall.ready()
  await paywall.ledger.close()
  expect(await health(paywall)).toMatchObject({ status: 503, body: { reasons: ['store_unreadable'] } })
})

test('a store that could be read but not written is unavailable, by its latest write', async () => {
  const path = `${fixture.folder}/full.db`
  const paywall = fixture.paywall({ ledger: sqliteLedger(path) })
  await paywall.ready()
  const channel = await fixture.open()
  expect((await pay(paywall, await channel.voucher(price))).status).toBe(200)
  expect(await health(paywall)).toMatchObject({ status: 200 })
  // Somebody else holds the file's write lock for longer than the ledger waits.
  const { default: Database } = await import('better-sqlite3')
  const other = new Database(path)
  other.exec('BEGIN IMMEDIATE')
  try {
    expect((await pay(paywall, await channel.voucher(2n * price))).status).toBe(503)
    expect(await health(paywall)).toMatchObject({ status: 503, body: { reasons: ['store_unwritable'] } })
  } finally {
    other.exec('ROLLBACK')
    other.close()
  }
  expect((await pay(paywall, await channel.voucher(2n * price))).status).toBe(200)
  expect(await health(paywall)).toMatchObject({ status: 200, body: { status: 'ok' } })
})

test('claims that are late are told, without amounts', async () => {
  let clock = Date.now()
  const paywall = fixture.paywall({
    ledger: memoryLedger({ log: () => {} }),
    clock: () => clock,
    minPayout: '0.1',
  })
  const channel = await fixture.open({ duration: 7_200n })
  expect((await pay(paywall, await channel.voucher(500_000n), 500_000n)).status).toBe(200)
  clock += 7_200_000 * 0.97
  const { status, body } = await health(paywall)
  expect([status, body.status, body.reasons]).toEqual([200, 'degraded', ['claims_overdue']])
  expect(Object.keys(body).sort()).toEqual(['chainId', 'provider', 'reasons', 'status'])
})

test('claims that fail are told until one succeeds', async () => {
  const paywall = fixture.paywall()
  const channel = await fixture.open()
  expect((await pay(paywall, await channel.voucher(500_000n), 500_000n)).status).toBe(200)
  const { testClient } = fixture.chain
  const { address } = fixture.provider
  await testClient.setBalance({ address, value: 0n })
  await paywall.settlement.claimAll(1n)
  expect(await health(paywall)).toMatchObject({ status: 200, body: { reasons: ['claims_failing'] } })
  await testClient.setBalance({ address, value: 10n ** 20n })
  await paywall.settlement.claimAll(1n)
  expect((await health(paywall)).body).toMatchObject({ status: 'ok' })
})
