import { join } from 'node:path'
import { drainChannelAbi } from '@drain/core'
import { memoryLedger, type Paywall } from '@drain/provider'
import { type Hex, parseTransaction, toHex, encodeFunctionData, formatGwei } from 'viem'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Fixture, type OpenChannel, startFixture } from './fixture.ts'
import SQLite from 'better-sqlite3'
import { createServer } from 'node:http'
import { sqliteLedger } from '@drain/provider/sqlite'
import { rpcTransport } from '../src/chain/transport.ts'
import { createPublicClient } from 'viem'
import { startRpcProxy } from './RpcProxy.ts'

let fixture: Fixture
const extra: Paywall[] = []
beforeAll(async () => { fixture = await startFixture() })
afterEach(async () => {
  const { testClient } = fixture.chain
  for (const paywall of extra.splice(0)) await paywall.close()
  await testClient.setAutomine(true)
  await testClient.mine({ blocks: 1 })
})
afterAll(() => fixture?.close())
async function owing(count: number, owed: bigint, options: Parameters<Fixture['paywall']>[0] = {}, duration = 86_400n) {
  const paywall = fixture.paywall(options)
  extra.push(paywall)
  const channels: OpenChannel[] = []
  for (let index = 0; index < count; index += 1) {
    const channel = await fixture.open({ duration })
    const headers = await channel.voucher(owed + 1n)
    const r = await paywall.handle(new Request('http://p.example/x', { headers }), owed, () => new Response('done'))
    if (r.status !== 200) console.log(r.status, await r.text())
    expect(r.status).toBe(200)
    channels.push(channel)
  }
  return { paywall, channels, ids: channels.map(({ id }) => id) }
}
async function claimedOnChain(channelId: Hex): Promise<bigint> {
  const { deployment, publicClient } = fixture.chain
  const [, , , claimed] = await publicClient.readContract({ address: deployment.contract, abi: drainChannelAbi, functionName: 'getChannel', args: [channelId] })
  return claimed
}
const rpcCall = async (body: unknown) => (await fetch(fixture.chain.rpcUrl, { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } })).json() as any
const rpc = async (method: string, params: unknown[]) => (await rpcCall({ jsonrpc: '2.0', id: 1, method, params })).result
async function lookUp(paywall: Paywall, id: Hex) {
  const state = await paywall.ledger.get(id)
  return { ...state!, id, claimed: 0n, proof: undefined }
}



import { createFollower } from '../src/settle/Follower.ts'
import { createLogger } from '../src/observe/Log.ts'
import { http } from 'viem'

test('21 a short outage rests channels past their expiry', async () => {
  const proxy = await startRpcProxy(fixture.chain.rpcUrl)
  let clock = Date.now()
  const { paywall, ids } = await owing(3, 900_000n, { rpcUrl: proxy.url, settle: { threshold: '0.1', nativePrice: '0.0001', interval: '1m' }, clock: () => clock }, 1_860n)
  await paywall.settler.stop()
  await paywall.ledger.notebook.write('lease/settler', () => ({ result: undefined, write: null }))
  // the node fails claims for a while: here estimates, with a rate limit
  proxy.lie = async (q, ask) => q.method === 'eth_estimateGas' ? ({ error: { code: -32005, message: 'rate limited' } }) : ask()
  const channels = await Promise.all(ids.map(async (id) => (await paywall.ledger.get(id))!))
  console.log('21 first claimed?', channels.map((c) => c.claimed))
  await proxy.close()
})

test('21b', async () => {
  const proxy = await startRpcProxy(fixture.chain.rpcUrl)
  let clock = Date.now()
  const { createSettler } = await import('../src/settle/Settler.ts')
  const { paywall, ids } = await owing(3, 900_000n, { rpcUrl: proxy.url, settle: { threshold: '100', nativePrice: '0.0001', interval: '1m' }, clock: () => clock }, 1_860n)
  await paywall.settler.run()
  const states = async () => Promise.all(ids.map(async (id) => { const s = (await paywall.ledger.get(id))!; return [s.status, s.claimed] }))
  clock += 1_680_000 // expiring: less than 3 minutes left
  console.log('21b left', (await paywall.ledger.get(ids[0]!))!.expiry - BigInt(Math.floor(clock / 1000)))
  proxy.lie = async (q, ask) => q.method === 'eth_estimateGas' ? ({ error: { code: -32000, message: 'busy' } }) : ask()
  await paywall.settler.run()
  await paywall.settler.run()
  console.log('21b while failing', await states(), paywall.settler.problem)
  proxy.lie = undefined
  for (let i = 0; i < 4; i++) { await paywall.settler.run(); console.log('21b node healthy again', await states(), paywall.settler.problem) }
  await proxy.close()
})

test('22 somebody else\'s underpriced transaction: silent', async () => {
  const { testClient, publicClient } = fixture.chain
  let clock = Date.now()
  const { paywall, ids } = await owing(1, 900_000n, { clock: () => clock })
  await testClient.setAutomine(false)
  const [, hash] = [0, await fixture.chain.walletClient(fixture.provider).sendTransaction({ to: fixture.provider.address, value: 1n, gas: 21_000n, maxFeePerGas: 1_000_000_000n, maxPriorityFeePerGas: 1n } as never)]
  await testClient.setNextBlockBaseFeePerGas({ baseFeePerGas: 2_000_000_000n })
  const claiming = paywall.settlement.claimAll(1n)
  await expect.poll(async () => (await paywall.settler.transactions.unsettled()).length).toBe(1)
  await testClient.mine({ blocks: 1 })
  for (let i = 0; i < 10; i++) { clock += 3_600_000; await paywall.settler.transactions.poll(); }
  console.log('22 after 10 hours', paywall.settler.problem, (await paywall.settler.transactions.unsettled()).map((e) => [e.nonce, e.state, e.attempts.length]), 'account', await publicClient.getTransactionCount({ address: fixture.provider.address }), await claimedOnChain(ids[0]!))
  const health = await paywall.health.report()
  console.log('22 health', JSON.stringify(health, (_, v) => typeof v === 'bigint' ? String(v) : v))
  await testClient.setNextBlockBaseFeePerGas({ baseFeePerGas: 1n })
  await testClient.mine({ blocks: 3 })
  await claiming
}, 120_000)

test('23 reorg beyond finality: nonces deadlock', async () => {
  const { testClient, publicClient } = fixture.chain
  let clock = Date.now()
  const { paywall, ids } = await owing(2, 300_000n, { finality: 2n, clock: () => clock })
  await paywall.settlement.claim(ids[0]!)
  await testClient.mine({ blocks: 3 })
  await paywall.settler.transactions.poll()
  const count = () => publicClient.getTransactionCount({ address: fixture.provider.address })
  console.log('23 booked', (await paywall.ledger.get(ids[0]!))?.claimed, await count())
  await testClient.setAutomine(false)
  await rpc('anvil_reorg', [4, []])
  await testClient.mine({ blocks: 5 })
  console.log('23 after reorg', await claimedOnChain(ids[0]!), await count())
  const claiming = paywall.settlement.claimAll(1n)
  await expect.poll(async () => (await paywall.settler.transactions.unsettled()).length).toBe(1)
  for (let i = 0; i < 20; i++) { clock += 60_000; await paywall.settler.transactions.poll(); await testClient.mine({ blocks: 2 }) }
  console.log('23', await claiming, (await paywall.settler.transactions.unsettled()).map((e) => [e.nonce, e.kind, e.state]), await count(), await claimedOnChain(ids[1]!), paywall.settler.problem)
}, 120_000)

test('24 a cursor from another chain', async () => {
  const proxy = await startRpcProxy(fixture.chain.rpcUrl)
  const lines: string[] = []
  const ledger = memoryLedger({ log: () => {} })({ chainId: 137, contract: fixture.chain.deployment.contract, provider: fixture.provider.address })
  const make = () => createFollower({ client: createPublicClient({ transport: http(proxy.url, { retryCount: 0 }) }), deployment: { ...fixture.chain.deployment, chainId: 137 }, provider: fixture.provider.address, ledger, finality: { depth: 64n }, isOurs: async () => false, forget: () => {}, log: createLogger((line) => lines.push(line)) })
  // the operator's URL is another chain's node, one with more blocks
  proxy.lie = async (q, ask) => {
    if (q.method === 'eth_chainId') return { result: '0x1' }
    if (q.method === 'eth_getLogs') return { result: [] }
    const answer = await ask() as any
    if (q.method === 'eth_getBlockByNumber') {
      const tag = q.params[0] as string
      const latest = await rpc('eth_getBlockByNumber', ['latest', false])
      answer.result = { ...latest, number: tag === 'latest' ? '0x5000000' : tag, hash: toHex(BigInt(tag === 'latest' ? '0x5000000' : tag) + 1n, { size: 32 }) }
    }
    return answer
  }
  console.log('24 wrong', await make().poll().catch((e) => e.code))
  proxy.lie = async (q, ask) => q.method === 'eth_chainId' ? { result: '0x89' } : ask()
  const follower = make()
  for (let i = 0; i < 3; i++) console.log('24 right', await follower.poll().catch((e) => e.code))
  console.log(lines.slice(-2))
  await ledger.close(); await proxy.close()
})

test('25 claims wait for the follower', async () => {
  const proxy = await startRpcProxy(fixture.chain.rpcUrl)
  const { paywall, ids } = await owing(1, 900_000n, { rpcUrl: proxy.url, settle: { threshold: '100', nativePrice: '0.0001' } })
  await paywall.settler.run()
  await fixture.chain.testClient.mine({ blocks: 70_000 })
  proxy.lie = async (q, ask) => { await new Promise((r) => setTimeout(r, 100)); return ask() }
  const second = fixture.paywall({ ledger: () => paywall.ledger, rpcUrl: proxy.url, settle: { threshold: '0.1', nativePrice: '0.0001' } })
  const t = Date.now()
  await second.settler.run()
  console.log('25 seconds', (Date.now() - t) / 1000, await claimedOnChain(ids[0]!), 'requests', proxy.count('eth_getBlockByNumber'), proxy.count('eth_getLogs'))
  await second.settler.stop()
  await proxy.close()
}, 120_000)
