/** Charges whose work is done and that nothing was given for: whoever comes again pays once, and gets something for it. */

import { join } from 'node:path'
import { memoryLedger, type Paywall } from '@drain/provider'
import { sqliteLedger } from '@drain/provider/sqlite'
import { parseGwei } from 'viem'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Fixture, startFixture } from '../../provider/test/fixture.ts'
import { startRpcProxy } from '../../provider/test/RpcProxy.ts'
import type { SignedAuthorization } from '../src/authorization.ts'
import { authorize, breakable, chargesOf, codeOf, fundsOf, uses } from './charging.ts'

let fixture: Fixture
let paywall: Paywall
const price = 20_000n
const outcome = new TextEncoder().encode('the answer')
const keyOf = ({ nonce }: SignedAuthorization) => ({ id: nonce, fingerprint: nonce })
const earned = () => fixture.balance(fixture.provider.address)

beforeAll(async () => {
  fixture = await startFixture()
  paywall = fixture.paywall()
  await paywall.ready()
})
afterAll(() => fixture?.close())

/** Streams, which are paid before their answer is there, and answers that are too long. */
const unkept = [
  ['of a stream', { final: false }],
  ['of an answer that is not kept', { final: true }],
] as const

describe.each(unkept)('a retry %s', (_, options) => {
  test('cashes nothing that was not sent: the work is done anew', async () => {
    const { testClient } = fixture.chain
    const charges = chargesOf(paywall, { maxGasPrice: parseGwei('20') })
    const before = await earned()
    const authorization = await authorize(fixture, price)
    const ask = { quote: price, key: keyOf(authorization) }
    const funds = fundsOf(await charges.begin(authorization, ask))
    await testClient.setNextBlockBaseFeePerGas({ baseFeePerGas: parseGwei('50') })
    await testClient.mine({ blocks: 1 })
    await expect(funds.capture(price, options)).rejects.toMatchObject({ code: 'channel_terms' })
    await testClient.setNextBlockBaseFeePerGas({ baseFeePerGas: parseGwei('1') })
    await testClient.mine({ blocks: 1 })
    const anew = fundsOf(await chargesOf(paywall).begin(authorization, ask))
    expect(await earned()).toBe(before)
    await anew.capture(price, { outcome })
    expect([await earned(), await uses(fixture, authorization)]).toEqual([before + price, 1])
  })

  test('has the work once more, for nothing, when its transfer was mined too late to be waited for', async () => {
    const { testClient } = fixture.chain
    const charges = chargesOf(paywall, { patienceMs: 200 })
    const before = await earned()
    const [authorization, fresh] = [await authorize(fixture, price), await authorize(fixture, price)]
    const ask = { quote: price, key: keyOf(authorization) }
    const funds = fundsOf(await charges.begin(authorization, ask))
    await testClient.setAutomine(false)
    try {
      await expect(funds.capture(price, options)).rejects.toMatchObject({ code: 'unavailable' })
      expect(codeOf(await charges.begin(authorization, ask))).toBe('unavailable')
    } finally {
      await testClient.setAutomine(true)
    }
    await testClient.mine({ blocks: 1 })
    const other = { ...ask, key: { ...ask.key, fingerprint: fresh.nonce } }
    expect(codeOf(await charges.begin(fresh, other))).toBe('idempotency_mismatch')
    let txHash: string | undefined
    const begun = await charges.begin(fresh, ask, (settled) => {
      txHash = settled.txHash
    })
    expect(txHash).toMatch(/^0x/)
    expect(codeOf(await charges.begin(authorization, ask))).toBe('idempotency_in_flight')
    await fundsOf(begun).capture(price, { outcome })
    expect(await charges.begin(authorization, ask)).toMatchObject({ ok: false, outcome })
    expect([await earned(), await uses(fixture, fresh)]).toEqual([before + price, 0])
  })
})

test('a node that shows a transfer’s use but not its events has not failed it: its answer is kept, and its key pays once', async () => {
  const { testClient, rpcUrl } = fixture.chain
  const proxy = await startRpcProxy(rpcUrl)
  try {
    const charges = chargesOf(fixture.paywall({ rpcUrl: proxy.url }), { patienceMs: 200 })
    const before = await earned()
    const authorization = await authorize(fixture, price)
    const ask = { quote: price, key: keyOf(authorization) }
    const funds = fundsOf(await charges.begin(authorization, ask))
    proxy.lie = async ({ method }, answer) =>
      method === 'eth_getLogs'
        ? { result: [] }
        : method === 'eth_getTransactionReceipt'
          ? { result: null }
          : answer()
    await expect(funds.capture(price, { outcome })).rejects.toMatchObject({ code: 'unavailable' })
    await testClient.mine({ blocks: 100 })
    await paywall.settler.transactions.poll()
    expect(codeOf(await charges.begin(authorization, ask))).toBe('unavailable')
    proxy.lie = undefined
    expect(await charges.begin(authorization, ask)).toMatchObject({ outcome })
    expect(await earned()).toBe(before + price)
  } finally {
    await proxy.close()
  }
})

test('of many processes that have the same charge to send, one sends it, and counts it', async () => {
  const proxy = await startRpcProxy(fixture.chain.rpcUrl)
  const path = join(fixture.folder, 'senders.db')
  const start = () => fixture.paywall({ rpcUrl: proxy.url, ledger: sqliteLedger(path, { log: () => {} }) })
  const processes = Array.from({ length: 4 }, start)
  const charges = processes.map((one) => chargesOf(one))
  try {
    await Promise.all(charges.map((one) => one.ready()))
    const authorization = await authorize(fixture, price)
    const ask = { quote: price, key: keyOf(authorization) }
    const funds = fundsOf(await (charges[0] as (typeof charges)[0]).begin(authorization, ask))
    const sent = await fixture.sent()
    const estimates = ['eth_estimateGas', 'eth_fillTransaction']
    const asked = () => estimates.reduce((sum, method) => sum + proxy.count(method), 0)
    proxy.lie = async ({ method }, answer) =>
      estimates.includes(method) ? { error: { code: -32000, message: 'busy' } } : answer()
    await expect(funds.capture(price, { outcome })).rejects.toMatchObject({ code: 'unavailable' })
    // All have seen that nothing is on its way before one of them sends it.
    const before = asked()
    let open = () => {}
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    proxy.lie = async ({ method }, answer) => {
      if (estimates.includes(method)) await gate
      return answer()
    }
    const retries = charges.map((one) => one.begin(authorization, ask))
    await expect.poll(asked).toBe(before + charges.length)
    open()
    for (const retry of await Promise.all(retries)) expect(['answer', 'unavailable']).toContain(codeOf(retry))
    for (const one of charges) expect(await one.begin(authorization, ask)).toMatchObject({ outcome })
    expect(await fixture.sent()).toBe(sent + 1)
    const counted = await Promise.all(
      processes.map(async ({ metrics }) =>
        Number(
          /^drain_charges_total\{outcome="settled"\} (\d+)$/m.exec((await metrics.render()).text)?.[1] ?? 0,
        ),
      ),
    )
    expect(counted.reduce((sum, one) => sum + one)).toBe(1)
  } finally {
    await proxy.close()
  }
})

test('who dies about to write a transfer down is waited for a minute; then it is sent, once more at most', async () => {
  let now = Date.now()
  let isFull = true
  const clock = () => now
  const ledger = breakable(
    memoryLedger({ now: clock, log: () => {} }),
    (key, text) => isFull && key.startsWith('tx/') && typeof text === 'string',
  )
  const charges = chargesOf(fixture.paywall({ clock, ledger }), { clock, failuresPerPayer: 2 })
  const sent = await fixture.sent()
  const begin = async () => {
    const authorization = await authorize(fixture, price, { validBefore: BigInt(now) / 1_000n + 300n })
    const ask = { quote: price, key: keyOf(authorization) }
    const funds = fundsOf(await charges.begin(authorization, ask))
    isFull = true
    await expect(funds.capture(price, { outcome })).rejects.toMatchObject({ code: 'unavailable' })
    return () => charges.begin(authorization, ask)
  }
  const retry = await begin()
  isFull = false
  expect([codeOf(await retry()), await fixture.sent()]).toEqual(['unavailable', sent])
  now += 60_001
  expect([codeOf(await retry()), await fixture.sent()]).toEqual(['answer', sent + 1])

  const third = await begin()
  now += 60_001
  expect(codeOf(await third())).toBe('unavailable')
  isFull = false
  now += 60_001
  expect([codeOf(await third()), await fixture.sent()]).toEqual(['invalid_nonce', sent + 1])
})

test('work that takes longer than its authorization lasts is not the payer’s fault', async () => {
  let now = Date.now()
  const clock = () => now
  const ledger = memoryLedger({ now: clock, log: () => {} })
  const charges = chargesOf(fixture.paywall({ clock, ledger }), { clock, failuresPerPayer: 1 })
  for (let round = 0; round < 3; round += 1) {
    const authorization = await authorize(fixture, price, { validBefore: BigInt(now) / 1_000n + 300n })
    const funds = fundsOf(await charges.begin(authorization, { quote: price }))
    for (let slept = 0; slept < 300_000; slept += 30_000) {
      now += 30_000
      await funds.renew()
    }
    await expect(funds.capture(price, { outcome })).rejects.toMatchObject({
      rejection: { problem: 'payment-expired' },
    })
  }
})
