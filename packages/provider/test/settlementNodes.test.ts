/** Settlement with nodes behind one address that differ: some are behind, stand still on a fork, or don't find a receipt for a while. */
import { CloseAuthorization, drainChannelAbi } from '@drain/core'
import {
  type ChannelState,
  type ClaimRecord,
  type Ledger,
  memoryLedger,
  type Paywall,
  type PaywallConfig,
} from '@drain/provider'
import { type Hex, hexToBigInt, toHex } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { alarms } from '../src/ledger/alarms.ts'
import { type Fixture, type OpenChannel, startFixture } from './fixture.ts'
import { type RpcProxy, startRpcProxy } from './RpcProxy.ts'

let fixture: Fixture
let proxies: [RpcProxy, RpcProxy]

beforeAll(async () => {
  fixture = await startFixture()
  proxies = [await startRpcProxy(fixture.chain.rpcUrl), await startRpcProxy(fixture.chain.rpcUrl)]
})
afterAll(async () => {
  await fixture?.close()
  for (const proxy of proxies ?? []) await proxy.close()
})

const mine = (blocks: number) => fixture.chain.testClient.mine({ blocks })

async function all<item>(items: AsyncIterable<item>): Promise<item[]> {
  const found: item[] = []
  for await (const item of items) found.push(item)
  return found
}

const booked = async ({ ledger }: Paywall) =>
  (await all<ClaimRecord>(ledger.claims())).map(({ txHash, amount }) => ({ txHash, amount }))
const alarmsOf = async (ledger: Ledger) => (await all(alarms(ledger.notebook))).map(({ code }) => code)

/** A paywall with a finality of three blocks that has followed the chain up to now. */
async function start(options: Partial<PaywallConfig> = {}): Promise<Paywall> {
  const [proxy] = proxies
  const paywall = fixture.paywall({
    ...{ finality: 3n, confirmations: () => 0n, exposure: '10', rpcUrl: proxy.url },
    ...options,
  })
  await paywall.settler.run()
  return paywall
}

async function pay(paywall: Paywall, channel: OpenChannel, signed: bigint, quote: bigint): Promise<void> {
  const request = new Request('http://p.example/x', { headers: await channel.voucher(signed) })
  expect((await paywall.handle(request, quote, () => new Response('done'))).status).toBe(200)
}

async function claim(paywall: Paywall, channel: OpenChannel): Promise<{ hash: Hex; blockNumber: bigint }> {
  const claimed = await paywall.settlement.claim(channel.id)
  const hash = claimed?.txHash as Hex
  const { blockNumber } = await fixture.chain.publicClient.getTransactionReceipt({ hash })
  return { hash, blockNumber }
}

/** The consumer's close with the provider's signature. */
async function closeAt({ ledger }: Paywall, channel: OpenChannel, amount: bigint): Promise<Hex> {
  const { chain, provider, consumer } = fixture
  await ledger.freeze((await ledger.get(channel.id)) as ChannelState)
  await ledger.finalize(channel.id)
  const authorization = { channelId: channel.id, finalAmount: amount }
  const typedData = CloseAuthorization.typedData(authorization, chain.deployment)
  return chain.walletClient(consumer).writeContract({
    ...{ address: chain.deployment.contract, abi: drainChannelAbi, functionName: 'cooperativeClose' },
    args: [channel.id, amount, await provider.signTypedData(typedData)],
  })
}

/** A node that finds no receipt of a transaction. */
function losing(hash: Hex): NonNullable<RpcProxy['lie']> {
  return async ({ method, params }, ask) =>
    method === 'eth_getTransactionReceipt' && params[0] === hash ? { result: null } : ask()
}

/** A node that has no block above one, as when it is behind. */
function behind(head: bigint): NonNullable<RpcProxy['lie']> {
  return async ({ method, params = [] }, ask) => {
    if (method === 'eth_blockNumber') return { result: toHex(head) }
    const { result, error } = await ask()
    const block = (result as { blockNumber?: Hex } | null)?.blockNumber
    if (block && hexToBigInt(block) > head) return { result: null }
    const at = params.findLast((param) => /^(?:0x[0-9a-f]{1,16}|latest)$/.test(String(param)))
    if (at === 'latest' && method !== 'eth_chainId') {
      const asked = params.map((param) => (param === at ? toHex(head) : param))
      return { result: await fixture.chain.publicClient.request({ method, params: asked } as never) }
    }
    if (method !== 'eth_getTransactionReceipt' && at && hexToBigInt(at as Hex) > head)
      return { error: { code: -32_000, message: 'header not found' } }
    return error ? { error } : { result }
  }
}

async function runHonestly(paywall: Paywall): Promise<void> {
  for (const proxy of proxies) proxy.lie = undefined
  for (let round = 0; round < 3; round += 1) await paywall.settler.run()
}

test.each([
  ['finds no receipt of the claim', (hash: Hex) => losing(hash)],
  ['is behind the claim', (_: Hex, block: bigint) => behind(block - 1n)],
  ['is behind its finality', (_: Hex, block: bigint) => behind(block + 1n)],
])('a claim is booked before the close that came after it, though the node %s', async (_, liar) => {
  const paywall = await start()
  const channel = await fixture.open()
  await pay(paywall, channel, 500_000n, 500_000n)
  const { hash, blockNumber } = await claim(paywall, channel)
  await pay(paywall, channel, 600_000n, 100_000n)
  const close = await closeAt(paywall, channel, 600_000n)
  await mine(4)

  proxies[0].lie = liar(hash, blockNumber)
  await paywall.settler.run()
  expect(await booked(paywall)).toEqual([])
  await runHonestly(paywall)
  expect(await booked(paywall)).toEqual([
    { txHash: hash, amount: 500_000n },
    { txHash: close, amount: 100_000n },
  ])
  expect(await alarmsOf(paywall.ledger)).toEqual([])
})

test('a close of ours is booked, though its receipt is not found for a while', async () => {
  const paywall = await start()
  const channel = await fixture.open()
  await pay(paywall, channel, 500_000n, 500_000n)
  await paywall.ledger.freeze((await paywall.ledger.get(channel.id)) as ChannelState)
  await paywall.ledger.finalize(channel.id)
  const { txHash } = await paywall.settlement.close(channel.id)
  await mine(4)

  proxies[0].lie = losing(txHash as Hex)
  await paywall.settler.run()
  expect(paywall.settler.transactions.problem).toBe('no_receipt')
  await runHonestly(paywall)
  expect(await booked(paywall)).toEqual([{ txHash, amount: 500_000n }])
  expect(await paywall.ledger.get(channel.id)).toMatchObject({ status: 'closed', claimed: 500_000n })
})

test('a claim is booked, though its receipt is not found at the first look hours later', async () => {
  let clock = Date.now()
  const paywall = await start({ clock: () => clock })
  const channel = await fixture.open()
  await pay(paywall, channel, 500_000n, 500_000n)
  const { hash } = await claim(paywall, channel)
  await mine(4)

  clock += 7_200_000 // the process was down
  proxies[0].lie = losing(hash)
  await paywall.settler.transactions.poll()
  await runHonestly(paywall)
  expect(await booked(paywall)).toEqual([{ txHash: hash, amount: 500_000n }])
})

test('a claim that nobody finds the receipt of is given up after an hour, and what it took is taken over', async () => {
  let clock = Date.now()
  const paywall = await start({ clock: () => clock })
  const channel = await fixture.open()
  await pay(paywall, channel, 500_000n, 500_000n)
  const { hash } = await claim(paywall, channel)
  await mine(4)

  proxies[0].lie = losing(hash)
  await paywall.settler.transactions.poll()
  clock += 3_000_000
  expect((await paywall.settler.transactions.poll()).problem).toBe('no_receipt')
  clock += 1_000_000
  expect(await paywall.settler.transactions.poll()).toMatchObject({ entries: [], problem: undefined })
  proxies[0].lie = undefined
  expect(await paywall.ledger.get(channel.id)).toMatchObject({ claimed: 500_000n, claiming: 500_000n })
})

test('one of two nodes that is behind does not make a paid claim another’s', async () => {
  const [first, second] = proxies
  const paywall = await start({ rpcUrl: [first.url, second.url] })
  const channel = await fixture.open()
  await pay(paywall, channel, 500_000n, 500_000n)
  const { hash, blockNumber } = await claim(paywall, channel)
  await mine(4)

  second.lie = behind(blockNumber - 1n)
  let refused = 0
  first.lie = async ({ method }, ask) =>
    method === 'eth_getTransactionReceipt' && refused++ === 0
      ? { error: { code: -32_005, message: 'limit exceeded' } }
      : ask()
  await paywall.settler.transactions.poll().catch(() => {})
  expect(refused).toBeGreaterThan(0)
  await runHonestly(paywall)
  expect(await booked(paywall)).toEqual([{ txHash: hash, amount: 500_000n }])
})

test('one of two nodes that stands still on a left fork does not make a claim final that is gone', async () => {
  const [first, second] = proxies
  let clock = Date.now()
  const paywall = await start({ rpcUrl: [first.url, second.url], clock: () => clock })
  const channel = await fixture.open()
  await mine(4)
  await pay(paywall, channel, 500_000n, 500_000n)
  const { hash } = await claim(paywall, channel)
  const receipt = await fixture.chain.publicClient.request({
    method: 'eth_getTransactionReceipt',
    params: [hash],
  })
  await fixture.chain.testClient.request({ method: 'anvil_reorg', params: [1, []] } as never)
  await mine(4)

  second.lie = async ({ method }, ask) =>
    method === 'eth_getTransactionReceipt' ? { result: receipt } : ask()
  let refused = 0
  first.lie = async ({ method }, ask) =>
    method === 'eth_getTransactionReceipt' && refused++ === 0
      ? { error: { code: -32_005, message: 'limit exceeded' } }
      : ask()
  await paywall.settler.transactions.poll().catch(() => {})
  expect(refused).toBeGreaterThan(0)
  for (let round = 0; round < 3; round += 1) {
    clock += 60_000
    await mine(4)
    await runHonestly(paywall)
    await paywall.settlement.claimAll(1n)
  }
  expect(await fixture.claimed(channel.id)).toBe(500_000n)
  await mine(4)
  await runHonestly(paywall)
  expect((await booked(paywall)).map(({ amount }) => amount)).toEqual([500_000n])
})

/** Methods that go to a node which stands still at a block, behind one address with a good one. */
function balanced(stuckAt: bigint, methods?: readonly string[]): NonNullable<RpcProxy['lie']> {
  return (question, ask) =>
    !methods || methods.includes(question.method) ? behind(stuckAt)(question, ask) : ask()
}

/** A channel that owes, opened above the block that a node stands still at. */
async function aboveStuck(clock: () => number) {
  const paywall = await start({ clock, settle: { threshold: '0.1', nativePrice: '0.000001' } })
  await mine(5)
  const stuckAt = await fixture.chain.publicClient.getBlockNumber({ cacheTime: 0 })
  const channel = await fixture.open()
  await mine(4)
  await pay(paywall, channel, 50_000n, 50_000n)
  for (let round = 0; round < 2; round += 1) {
    await paywall.settler.run()
    await mine(4)
  }
  return { paywall, channel, stuckAt }
}

test('one of two nodes that stands still freezes no channel that is there', async () => {
  const { paywall, channel, stuckAt } = await aboveStuck(Date.now)
  proxies[0].lie = balanced(stuckAt)
  await paywall.settlement.claim(channel.id).catch(() => {})
  proxies[0].lie = balanced(stuckAt, ['eth_call'])
  await paywall.settler.run()
  await runHonestly(paywall)
  expect(await paywall.ledger.get(channel.id)).toMatchObject({ status: 'open' })
  expect(await alarmsOf(paywall.ledger)).toEqual([])
})

test('one of two nodes that stands still keeps nothing from being claimed past its expiry', async () => {
  let clock = Date.now()
  const { paywall, channel, stuckAt } = await aboveStuck(() => clock)
  await fixture.chain.testClient.increaseTime({ seconds: 86_500 })
  clock += 86_500_000
  await mine(5)
  for (const methods of [undefined, ['eth_call'], ['eth_call']]) {
    proxies[0].lie = balanced(stuckAt, methods)
    await paywall.settler.run()
  }
  clock += 700_000
  await runHonestly(paywall)
  expect(await fixture.claimed(channel.id)).toBe(50_000n)
  expect(await alarmsOf(paywall.ledger)).toEqual([])
})

test('one look at a node on another fork does not make a paid claim another’s', async () => {
  const paywall = await start()
  const channel = await fixture.open()
  await mine(4)
  await pay(paywall, channel, 500_000n, 500_000n)
  const before = await fixture.chain.publicClient.getBlockNumber({ cacheTime: 0 })
  const { hash } = await claim(paywall, channel)
  await mine(4)
  proxies[0].lie = async ({ method, params }, ask) => {
    if (method === 'eth_getTransactionReceipt') return { result: null }
    if (method !== 'eth_call') return ask()
    const asked = { method, params: [params[0], toHex(before)] }
    return { result: await fixture.chain.publicClient.request(asked as never) }
  }
  expect((await paywall.settler.transactions.poll()).problem).toBe('no_receipt')
  await runHonestly(paywall)
  expect(await booked(paywall)).toEqual([{ txHash: hash, amount: 500_000n }])
})

test('a receipt that is lost is given up after an hour, also by processes that look once', async () => {
  let clock = Date.now()
  const ledger = memoryLedger({ log: () => {} })
  const first = await start({ ledger, clock: () => clock })
  const channel = await fixture.open()
  await pay(first, channel, 500_000n, 500_000n)
  const { hash } = await claim(first, channel)
  await mine(4)
  proxies[0].lie = losing(hash)
  await first.settler.run()
  const again = async () => {
    const { settler } = fixture.paywall({
      ...{ finality: 3n, confirmations: () => 0n, rpcUrl: proxies[0].url, clock: () => clock },
      ledger: () => first.ledger,
    })
    return (await settler.transactions.poll()).problem
  }
  clock += 1_800_000
  expect(await again()).toBe('no_receipt')
  clock += 1_800_000
  expect(await again()).toBeUndefined()
  proxies[0].lie = undefined
})

test('one of two nodes that is far behind does not keep a claim that is gone from being claimed again', async () => {
  let clock = Date.now()
  await mine(10)
  const settle = { threshold: '0.1', nativePrice: '0.000001' }
  const paywall = await start({ finality: 2n, clock: () => clock, settle })
  const old = await fixture.chain.publicClient.getBlockNumber({ cacheTime: 0 })
  const channel = await fixture.open()
  await mine(10)
  await pay(paywall, channel, 300_000n, 300_000n)
  await claim(paywall, channel)
  await mine(3)
  await paywall.settler.run()
  await fixture.chain.testClient.request({ method: 'anvil_reorg', params: [6, []] } as never)
  await paywall.settler.run()
  expect(await fixture.claimed(channel.id)).toBe(0n)
  await mine(2)
  proxies[0].lie = async ({ method, params }, ask) => {
    if (method !== 'eth_call' || params[1] !== 'latest') return ask()
    const asked = { method, params: [params[0], toHex(old)] }
    return { result: await fixture.chain.publicClient.request(asked as never) }
  }
  await paywall.settler.run()
  for (let round = 0; round < 3; round += 1) {
    clock += 60_000
    await mine(2)
    await runHonestly(paywall)
  }
  expect(await fixture.claimed(channel.id)).toBe(300_000n)
})

test('what a node has said of a nonce before counts for nothing once the transaction waits again', async () => {
  let clock = Date.now()
  const paywall = await start({ finality: 2n, clock: () => clock })
  const channel = await fixture.open()
  await pay(paywall, channel, 300_000n, 300_000n)
  await fixture.chain.testClient.setAutomine(false)
  const claiming = paywall.settlement.claim(channel.id).catch(({ code }) => code)
  const { transactions } = paywall.settler
  await expect.poll(async () => (await transactions.unsettled()).length).toBe(1)
  // A node of another fork, on which the account has sent more.
  proxies[0].lie = async ({ method, params }, ask) =>
    method === 'eth_getTransactionCount' && params[1] !== 'pending' ? { result: toHex(500) } : ask()
  expect((await transactions.poll()).problem).toBe('no_receipt')
  proxies[0].lie = undefined
  clock += 7_200_000 // gas is dear for so long
  await transactions.poll()
  await fixture.chain.testClient.setAutomine(true)
  await mine(5)
  const [entry] = await transactions.unsettled()
  const hashes = entry?.attempts.map(({ hash }) => hash) ?? []
  proxies[0].lie = async ({ method }, ask) =>
    method === 'eth_getTransactionReceipt' ? { result: null } : ask()
  await transactions.poll()
  proxies[0].lie = undefined
  await claiming
  await runHonestly(paywall)
  expect(await booked(paywall)).toMatchObject([{ amount: 300_000n }])
  expect(hashes).toContain((await booked(paywall))[0]?.txHash)
})

test('while no node says what gas costs, an end is left to the consumer', async () => {
  const paywall = await start({ nativePrice: '5000000', minPayout: '0.000001' })
  const channel = await fixture.open()
  await pay(paywall, channel, 1_000n, 1_000n)
  proxies[0].lie = async ({ method }, ask) =>
    method === 'eth_gasPrice' ? { error: { code: -32_005, message: 'limit exceeded' } } : ask()
  const state = (await paywall.ledger.get(channel.id)) as ChannelState
  const closing = await paywall.closeChannel({ ...state, id: channel.id })
  proxies[0].lie = undefined
  expect(closing).toMatchObject({ finalAmount: 1_000n, signature: expect.stringMatching(/^0x/) })
  expect(closing).not.toHaveProperty('txHash')
})

test('health tells when for a minute no node says what became of transactions, and when one does again', async () => {
  let clock = Date.now()
  const paywall = await start({ clock: () => clock })
  const channel = await fixture.open()
  await pay(paywall, channel, 500_000n, 500_000n)
  const { hash } = await claim(paywall, channel)
  const { transactions } = paywall.settler
  proxies[0].lie = async ({ method }, ask) =>
    method === 'eth_getTransactionCount' ? { error: { code: -32_000, message: 'missing trie node' } } : ask()
  await expect(transactions.poll()).rejects.toMatchObject({ code: 'chain_unavailable' })
  expect((await paywall.health.report()).reasons).not.toContain('not_settling')
  clock += 61_000
  await expect(transactions.poll()).rejects.toMatchObject({ code: 'chain_unavailable' })
  expect((await paywall.health.report()).reasons).toContain('not_settling')
  proxies[0].lie = undefined
  await mine(4)
  await transactions.poll()
  expect((await paywall.health.report()).reasons).not.toContain('not_settling')
  expect(await booked(paywall)).toEqual([{ txHash: hash, amount: 500_000n }])
})
