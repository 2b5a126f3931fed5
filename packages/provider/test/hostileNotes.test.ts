/**
 * A ledger's notebook with what a hacked server, which serves without the key, may have put there: whoever has the key signs and pays
 * for nothing of it.
 */
import { join } from 'node:path'
import type { Ledger, Paywall } from '@drain/provider'
import { sqliteLedger } from '@drain/provider/sqlite'
import { encodeFunctionData, erc20Abi, type Hex, keccak256, serializeTransaction } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { encode } from '../src/ledger/bigintJson.ts'
import { type Fixture, startFixture } from './fixture.ts'

let fixture: Fixture
let clock = Date.now()
let ledgers = 0
const lines: string[] = []

beforeAll(async () => {
  fixture = await startFixture()
})
afterAll(() => fixture?.close())

/** A server without the key and a worker with it, on one ledger. */
function start(): { server: Paywall; worker: Paywall } {
  const ledger = sqliteLedger(join(fixture.folder, `notes-${ledgers++}.db`), { log: () => {} })
  const server = fixture.paywall({ ledger, account: fixture.provider.address })
  const worker = fixture.paywall({
    ...{ ledger, finality: 2n, clock: () => clock, log: (line: string) => lines.push(line) },
    settle: { threshold: '0.1', nativePrice: '0.000001' },
  })
  return { server, worker }
}

const write = ({ notebook }: Ledger, key: string, text: string) =>
  notebook.write(key, () => ({ result: undefined, write: text }))

test('a transaction that the account has not signed is never signed anew for more gas', async () => {
  const { chain, provider, stranger } = fixture
  const { server, worker } = start()
  const channel = await fixture.open()
  const request = new Request('http://p.example/x', { headers: await channel.voucher(500_000n) })
  expect((await server.handle(request, 500_000n, () => new Response('done'))).status).toBe(200)
  await worker.settler.run()
  await chain.testClient.mine({ blocks: 3 })
  await worker.settler.run()
  const [rich, poor] = [await fixture.balance(provider.address), await fixture.balance(stranger.address)]
  expect(rich).toBeGreaterThanOrEqual(500_000n)

  const nonce = await chain.publicClient.getTransactionCount({ address: provider.address })
  const raw = serializeTransaction({
    ...{ chainId: chain.chainId, nonce, gas: 100_000n, maxFeePerGas: 1n, maxPriorityFeePerGas: 1n },
    to: chain.deployment.token,
    data: encodeFunctionData({ abi: erc20Abi, functionName: 'transfer', args: [stranger.address, rich] }),
  })
  const attempts = [{ hash: keccak256(raw), raw, at: 0 }]
  const entry = { nonce, kind: 'fill', takes: [], attempts, limit: 10n ** 15n, state: 'pending' }
  const key = `tx/${provider.address.toLowerCase()}/${nonce.toString().padStart(16, '0')}`
  await write(server.ledger, key, encode(entry))
  for (let round = 0; round < 4; round += 1) {
    await worker.settler.run()
    clock += 5_000
    await chain.testClient.mine({ blocks: 1 })
  }
  expect(lines.join()).toContain('journal_forged')
  expect([await fixture.balance(provider.address), await fixture.balance(stranger.address)]).toEqual([
    rich,
    poor,
  ])
  await Promise.all([server.close(), worker.close()])
})

test('transfers of others are not paid for', async () => {
  const { chain, consumer, stranger } = fixture
  const { server, worker } = start()
  const { timestamp } = await chain.publicClient.getBlock()
  const authorization = {
    ...{ from: consumer.address, to: stranger.address, value: 20_000n, validAfter: 0n },
    ...{ validBefore: timestamp + 3_000n, nonce: `0x${'12'.repeat(32)}` as Hex },
  }
  const domain = {
    ...{ name: 'USD Coin', version: '2', chainId: chain.chainId },
    verifyingContract: chain.deployment.token,
  }
  const types = {
    TransferWithAuthorization: [
      { name: 'from', type: 'address' },
      { name: 'to', type: 'address' },
      { name: 'value', type: 'uint256' },
      { name: 'validAfter', type: 'uint256' },
      { name: 'validBefore', type: 'uint256' },
      { name: 'nonce', type: 'bytes32' },
    ],
  } as const
  const typedData = {
    domain,
    types,
    primaryType: 'TransferWithAuthorization',
    message: authorization,
  } as const
  const signature = await consumer.signTypedData(typedData)
  const due = { ...authorization, signature, block: 0n, at: Date.now(), txHash: `0x${'77'.repeat(32)}` }
  const key = [chain.deployment.token, consumer.address, authorization.nonce].join('/').toLowerCase()
  await write(server.ledger, `charge-due/${key}`, encode(due))

  const [sent, balance] = [await fixture.sent(), await fixture.balance(stranger.address)]
  for (let round = 0; round < 3; round += 1) {
    await worker.settler.run()
    await chain.testClient.mine({ blocks: 2 })
  }
  expect([await fixture.sent(), await fixture.balance(stranger.address)]).toEqual([sent, balance])
  await Promise.all([server.close(), worker.close()])
})

test('ends that are asked for in another spelling, or for nothing, are dropped', async () => {
  const { server, worker } = start()
  const channel = await fixture.open()
  const request = new Request('http://p.example/x', { headers: await channel.voucher(90_000n) })
  expect((await server.handle(request, 90_000n, () => new Response('done'))).status).toBe(200)
  const state = await server.ledger.get(channel.id)
  if (!state) throw new Error('unknown channel')
  await server.ledger.freeze(state)
  await server.ledger.finalize(channel.id)
  const upper = `0x${channel.id.slice(2).toUpperCase()}`
  for (const name of [upper, 'x', '', `${channel.id}/`])
    await write(server.ledger, `closing-asked/${name}`, String(Date.now()))
  await worker.settler.run()
  const left: string[] = []
  for await (const { key } of server.ledger.notebook.read('closing-asked/')) left.push(key)
  for await (const { key } of server.ledger.notebook.read('closing/')) left.push(key)
  expect(left).toEqual([])
  await Promise.all([server.close(), worker.close()])
})
