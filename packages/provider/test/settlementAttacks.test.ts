/** What a thief, a node or a bad day can do to a settlement, and what must come of it. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Channel, CloseAuthorization, drainChannelAbi } from '@drain/core'
import type { Paywall } from '@drain/provider'
import { createPublicClient, type Hex, toHex } from 'viem'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { rpcTransport } from '../src/chain/transport.ts'
import { alarms } from '../src/ledger/alarms.ts'
import { type Fixture, startFixture } from './fixture.ts'
import { startRpcProxy } from './RpcProxy.ts'

let fixture: Fixture
const extra: { close(): Promise<unknown> }[] = []

beforeAll(async () => {
  fixture = await startFixture()
})
afterEach(async () => {
  for (const one of extra.splice(0)) await one.close()
  await fixture.chain.testClient.setAutomine(true)
  await fixture.chain.testClient.mine({ blocks: 1 })
})
afterAll(() => fixture?.close())

async function owing(...wanted: Parameters<Fixture['owing']>) {
  const { paywall, ids } = await fixture.owing(...wanted)
  extra.push(paywall)
  return { paywall, ids, id: ids[0] as Hex }
}

async function aProxy() {
  const proxy = await startRpcProxy(fixture.chain.rpcUrl)
  extra.push(proxy)
  return proxy
}

async function known(paywall: Paywall, id: Hex): Promise<Channel.Channel> {
  const state = await paywall.ledger.get(id)
  if (!state) throw new Error('unknown channel')
  return { ...state, id }
}

async function ask(method: string, params: unknown[]) {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
  const headers = { 'Content-Type': 'application/json' }
  return (await fetch(fixture.chain.rpcUrl, { method: 'POST', body, headers })).json()
}

const sent = () => fixture.sent()

test('a node that is behind does not make a young channel look closed', async () => {
  const { testClient, publicClient } = fixture.chain
  const proxy = await aProxy()
  await testClient.mine({ blocks: 100 })
  const old = toHex(await publicClient.getBlockNumber())
  const { paywall, id } = await owing(1, 900_000n, { finality: 64n, rpcUrl: proxy.url })
  proxy.lie = async ({ method, params }, answer) => {
    const [call, block] = params as [unknown, string | undefined]
    const isLatest = block === undefined || block === 'latest'
    return method === 'eth_call' && isLatest ? ask('eth_call', [call, old]) : answer()
  }
  await paywall.closeChannel(await known(paywall, id))
  proxy.lie = undefined
  expect((await paywall.ledger.get(id))?.status).toBe('closing')
  expect((await paywall.settlement.close(id)).txHash).toBeDefined()
  expect(await fixture.claimed(id)).toBe(0n) // closed: nothing of it is left on chain
})

test('after a reorganisation beyond finality, what comes later is mined all the same', async () => {
  const { testClient } = fixture.chain
  let clock = Date.now()
  const { paywall, ids } = await owing(2, 300_000n, { finality: 2n, clock: () => clock })
  const { transactions } = paywall.settler
  await paywall.settlement.claim(ids[0] as Hex)
  await testClient.mine({ blocks: 3 })
  await transactions.poll()
  const before = await sent()
  await testClient.setAutomine(false)
  await ask('anvil_reorg', [4, []])
  await testClient.mine({ blocks: 5 })
  expect(await sent()).toBe(before - 1)
  const claiming = paywall.settlement.claimAll(1n)
  await expect.poll(async () => (await transactions.unsettled()).length).toBe(1)
  clock += 60_000
  expect((await transactions.poll()).problem).toBe('stuck')
  await expect
    .poll(async () => {
      clock += 60_000
      await testClient.mine({ blocks: 2 })
      return (await transactions.poll()).entries.length
    })
    .toBe(0)
  expect((await claiming).failed).toEqual([])
  expect(await fixture.claimed(ids[1] as Hex)).toBe(300_000n)
  // Its nonce is another's now, and nothing followed the chain when that happened: it is remembered all the same.
  await paywall.settler.run()
  await testClient.mine({ blocks: 3 })
  await paywall.settler.run()
  const told = []
  for await (const { channelId, code } of alarms(paywall.ledger.notebook)) told.push([channelId, code])
  expect(told).toEqual([[ids[0], 'claim_vanished']])
})

test('a claim alone that would pay nothing is not sent', async () => {
  const { publicClient, deployment, walletClient } = fixture.chain
  const { paywall, id } = await owing(1, 900_000n, { finality: 64n })
  const state = await paywall.ledger.get(id)
  if (!state) throw new Error('unknown channel')
  await paywall.ledger.freeze(state)
  await paywall.ledger.finalize(id)
  const authorization = CloseAuthorization.typedData({ channelId: id, finalAmount: 900_000n }, deployment)
  const hash = await walletClient(fixture.consumer).writeContract({
    address: deployment.contract,
    abi: drainChannelAbi,
    functionName: 'cooperativeClose',
    args: [id, 900_000n, await fixture.provider.signTypedData(authorization)],
  })
  await publicClient.waitForTransactionReceipt({ hash })
  const before = await sent()
  expect(await paywall.settlement.claimAll(1n)).toMatchObject({
    ...{ claimed: [], failed: [{ channelId: id, code: 'not_claimable' }] },
  })
  expect(await sent()).toBe(before)
})

test('a ledger that fails in the middle of a round fails its claims, not the process', async () => {
  const { paywall, ids } = await owing(60, 10_000n)
  const { ledger } = paywall
  const beginClaim = async () => {
    throw new Error('the database restarts')
  }
  const other = fixture.paywall({ ledger: () => ({ ...ledger, beginClaim }), settle: false })
  async function* slowly() {
    for (const id of ids) {
      await new Promise((resolve) => setImmediate(resolve))
      const state = await ledger.get(id)
      if (state) yield state
    }
  }
  // The runner fails on a rejection that nobody handles.
  const { failed, claimed } = await other.settlement.claimMany(slowly())
  expect([failed.length, claimed]).toEqual([60, []])
})

test('one odd answer about its chain does not lock a node out', async () => {
  let isOdd = true
  async function aNode(): Promise<string> {
    const server = createServer(async (request, response) => {
      let body = ''
      for await (const chunk of request) body += chunk
      const { id, method } = JSON.parse(body)
      const isChain = method === 'eth_chainId'
      const answer =
        isChain && isOdd
          ? { error: { code: -32_000, message: 'syncing' } }
          : { result: isChain ? '0x7a69' : '0x10' }
      response.writeHead(200, { 'Content-Type': 'application/json' })
      response.end(JSON.stringify({ jsonrpc: '2.0', id, ...answer }))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    extra.push({ close: async () => void server.close() })
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }
  const transport = rpcTransport([await aNode(), await aNode()], { chainId: 31_337 })
  const client = createPublicClient({ transport })
  await expect(client.getBlockNumber({ cacheTime: 0 })).rejects.toThrow()
  isOdd = false
  await expect.poll(() => client.getBlockNumber({ cacheTime: 0 }).catch(() => undefined)).toBe(16n)
})

test('a block from far ahead ends no channel on a public chain', async () => {
  const proxy = await aProxy()
  const { deployment } = fixture.chain
  const paywall = fixture.paywall({
    rpcUrl: proxy.url,
    chainId: 137,
    deployment: { ...deployment, chainId: 137 },
  })
  extra.push(paywall)
  proxy.lie = async ({ method }, answer) => {
    const told = (await answer()) as { result: { timestamp: Hex } }
    if (method === 'eth_getBlockByNumber') told.result.timestamp = '0x90000000'
    return told
  }
  await paywall.lookUp(`0x${'12'.repeat(32)}`).catch(() => {})
  expect(proxy.answered('eth_getBlockByNumber')).toBeGreaterThan(0)
  expect(Number(paywall.now())).toBeLessThan(Date.now() / 1_000 + 60)
})
