/** What watches a settlement: health while the chain can't be followed or claims fail, and the figures of claims. */
import { join } from 'node:path'
import { CloseAuthorization, drainChannelAbi } from '@drain/core'
import { memoryLedger, type Paywall } from '@drain/provider'
import { sqliteLedger } from '@drain/provider/sqlite'
import type { Hex } from 'viem'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Fixture, startFixture } from './fixture.ts'
import { type RpcProxy, startRpcProxy } from './RpcProxy.ts'

let fixture: Fixture
let proxy: RpcProxy
beforeAll(async () => {
  fixture = await startFixture()
})
afterAll(() => fixture?.close())
beforeEach(async () => {
  proxy = await startRpcProxy(fixture.chain.rpcUrl)
  return async () => {
    await fixture.chain.testClient.setBalance({ address: fixture.provider.address, value: 10n ** 20n })
    await proxy.close()
  }
})

const adminToken = 'secret'
const mine = (blocks: number) => fixture.chain.testClient.mine({ blocks })
const reasonsOf = async (paywall: Paywall) => (await paywall.health.report()).reasons
const pay = async (paywall: Paywall, headers: Record<string, string>, quote: bigint) => {
  const request = new Request('http://p.test/x', { headers })
  expect((await paywall.handle(request, quote, () => new Response('paid'))).status).toBe(200)
}

/** The value of a series of `/metrics`. */
async function figure(paywall: Paywall, series: string): Promise<number> {
  const { text } = await paywall.metrics.render()
  const line = text.split('\n').find((one) => one.startsWith(`${series} `))
  if (!line) throw new Error(`no ${series}`)
  return Number(line.slice(series.length + 1))
}

describe('a chain that is not followed is told', () => {
  test('by who follows it, while the node refuses events', async () => {
    let clock = Date.now()
    const paywall = fixture.paywall({ rpcUrl: proxy.url, settle: {}, clock: () => clock })
    await paywall.settler.run()
    expect(await paywall.health.report()).toEqual({ status: 'ok', reasons: [] })
    proxy.lie = async ({ method }, ask) =>
      method === 'eth_getLogs' ? { error: { code: -32_601, message: 'not supported' } } : ask()
    await mine(50)
    await paywall.ready()
    await expect.poll(() => figure(paywall, 'drain_blocks_behind')).toBe(50)
    expect(await reasonsOf(paywall)).toEqual([])
    clock += 61_000
    await paywall.settler.run()
    expect(await paywall.health.report()).toEqual({ status: 'degraded', reasons: ['not_followed'] })

    proxy.lie = undefined
    await paywall.settler.run()
    await expect.poll(() => reasonsOf(paywall), { timeout: 5_000 }).toEqual([])
    await expect.poll(() => figure(paywall, 'drain_blocks_behind'), { timeout: 5_000 }).toBe(0)
  })

  test('by a server that does no rounds, when the worker beside it is gone', async () => {
    let clock = Date.now()
    const ledger = sqliteLedger(join(fixture.folder, 'followed.db'), { log: () => {} })
    const server = fixture.paywall({ ledger, clock: () => clock })
    /** What is looked at every few seconds, once in a minute's third. */
    const look = async () => {
      clock += 21_000
      await mine(3)
      await server.ready()
      const behind = await figure(server, 'drain_blocks_behind')
      return { reasons: await reasonsOf(server), behind }
    }
    const worker = fixture.paywall({ ledger })
    for (let count = 0; count < 5; count += 1) {
      await mine(3)
      await worker.settler.run()
      await expect.poll(look, { interval: 1_100 }).toMatchObject({ reasons: [] })
    }
    await expect.poll(look, { interval: 1_100, timeout: 10_000 }).toMatchObject({ reasons: ['not_followed'] })
    expect((await look()).behind).toBeGreaterThanOrEqual(9)
    await worker.settler.run()
    await expect.poll(look, { interval: 1_100 }).toMatchObject({ reasons: [] })
  })

  test('also where nobody has ever followed it', async () => {
    let clock = Date.now()
    const paywall = fixture.paywall({ clock: () => clock })
    const look = async () => {
      clock += 21_000
      return reasonsOf(paywall)
    }
    expect(await look()).toEqual([])
    await expect.poll(look, { interval: 1_100, timeout: 10_000 }).toEqual(['not_followed'])
    expect(await figure(paywall, 'drain_blocks_behind')).toBeNaN()
  })
})

describe('claims that fail are told', () => {
  const drained = () => fixture.chain.testClient.setBalance({ address: fixture.provider.address, value: 0n })

  test('also after a round with nothing in it, until that channel is paid', async () => {
    const { paywall, ids } = await fixture.owing(2, 500_000n)
    await drained()
    expect((await paywall.settlement.claimAll(1n)).failed).toHaveLength(2)
    expect(await reasonsOf(paywall)).toEqual(['claims_failing'])
    expect(await paywall.settlement.claimMany([])).toMatchObject({ claimed: [], failed: [] })
    expect(await reasonsOf(paywall)).toEqual(['claims_failing'])
    await fixture.chain.testClient.setBalance({ address: fixture.provider.address, value: 10n ** 20n })
    await paywall.settlement.claim(ids[0] as Hex)
    expect(await reasonsOf(paywall)).toEqual(['claims_failing'])
    await paywall.settlement.claim(ids[1] as Hex)
    expect(await reasonsOf(paywall)).toEqual([])
  })

  test('until another process has booked the close by the consumer that paid', async () => {
    const { chain, consumer, provider } = fixture
    const ledger = sqliteLedger(join(fixture.folder, 'failing.db'), { log: () => {} })
    const { paywall, channels } = await fixture.owing(1, 500_000n, { ledger })
    const id = channels[0]?.id as Hex
    await drained()
    await expect(paywall.settlement.claim(id)).rejects.toMatchObject({ code: 'no_gas' })
    expect(await reasonsOf(paywall)).toEqual(['claims_failing'])
    const state = await paywall.ledger.get(id)
    if (!state) throw new Error('no channel')
    await paywall.ledger.freeze(state)
    await paywall.ledger.finalize(id)
    const authorization = { channelId: id, finalAmount: 500_000n }
    const signature = await provider.signTypedData(
      CloseAuthorization.typedData(authorization, chain.deployment),
    )
    const hash = await chain.walletClient(consumer).writeContract({
      ...{ address: chain.deployment.contract, abi: drainChannelAbi, functionName: 'cooperativeClose' },
      args: [id, 500_000n, signature],
    })
    await chain.publicClient.waitForTransactionReceipt({ hash })
    expect(await reasonsOf(paywall)).toEqual(['claims_failing']) // nobody has seen it
    await fixture.paywall({ ledger }).settler.run()
    await expect.poll(() => reasonsOf(paywall), { timeout: 5_000 }).toEqual([])
  })
})

describe('what claims paid is counted once', () => {
  const counted = async (paywall: Paywall) => [
    await figure(paywall, 'drain_claims_total{outcome="paid"}'),
    await figure(paywall, 'drain_claims_total{outcome="failed"}'),
    await figure(paywall, 'drain_claimed_base_units_total'),
  ]

  test('also when the channel ends with it', async () => {
    const { paywall, channels } = await fixture.owing(1, 500_000n)
    const [channel] = channels
    const body = JSON.stringify({ channelId: channel?.id, ...(await channel?.request('close')) })
    const before = await fixture.balance(fixture.provider.address)
    const closing = await paywall.endpoints(
      new Request('http://p.test/v1/close-channel', { method: 'POST', body }),
    )
    expect(closing?.status).toBe(200)
    expect((await fixture.balance(fixture.provider.address)) - before).toBe(500_000n)
    await paywall.settler.transactions.poll()
    expect(await counted(paywall)).toEqual([1, 0, 500_000])
  })

  test('also when nobody waits any more until it is final', async () => {
    const { paywall, ids } = await fixture.owing(2, 300_000n, { finality: 5n, confirmations: () => 0n })
    expect((await paywall.settlement.claimAll(1n)).claimed).toHaveLength(2)
    expect(await counted(paywall)).toEqual([0, 0, 0])
    expect(await figure(paywall, 'drain_claiming_base_units')).toBe(600_000)
    await mine(5)
    await paywall.settler.transactions.poll()
    await paywall.settler.transactions.poll()
    expect(await counted(paywall)).toEqual([2, 0, 600_000])
    expect(ids).toHaveLength(2)
  })
})

test('the figures of status are metrics too', async () => {
  let clock = Date.now()
  const paywall = fixture.paywall({
    ...{ ledger: memoryLedger({ log: () => {} }), clock: () => clock, minPayout: '0.1' },
  })
  const amounts = [500_000n, 50_000n, 700_000n]
  for (const amount of amounts) {
    const channel = await fixture.open({ duration: 7_200n })
    await pay(paywall, await channel.voucher(amount), amount)
    if (amount === 700_000n) await paywall.settlement.claim(channel.id)
  }
  clock += 7_200_000 * 0.91
  expect(await figure(paywall, 'drain_channels_due{reason="expiring"}')).toBe(1)
  expect(await figure(paywall, 'drain_channels_due{reason="threshold"}')).toBe(0)
  expect(await figure(paywall, 'drain_dust_base_units')).toBe(50_000)
  expect(await figure(paywall, 'drain_claiming_base_units')).toBe(0)
  expect(await figure(paywall, 'drain_at_risk_base_units')).toBe(0)
  expect(await figure(paywall, 'drain_unclaimed_base_units')).toBe(550_000)
  expect(await figure(paywall, 'drain_ledger_earned_base_units')).toBe(1_250_000)
  expect(await figure(paywall, 'drain_ledger_claimed_base_units')).toBe(700_000)
  const spent = await figure(paywall, 'drain_gas_spent_wei_total')
  expect(spent).toBeGreaterThan(0)
  expect(await figure(paywall, 'drain_ledger_gas_wei')).toBe(spent)
})

test('a server that does no rounds judges ends by the price of the coin that it was told', async () => {
  const finalized = async (nativePrice: string) => {
    const { paywall, channels } = await fixture.owing(1, 500_000n, { settle: false, nativePrice })
    const [channel] = channels
    const state = await paywall.ledger.get(channel?.id as Hex)
    if (!state) throw new Error('no channel')
    await paywall.ledger.freeze(state)
    await paywall.ledger.finalize(state.channelId)
    return (await paywall.settlement.close(state.channelId)).txHash
  }
  expect(await finalized('100000000')).toBeUndefined()
  expect(await finalized('0.01')).toBeDefined()
})

test('the admin claims from the threshold on that rounds have', async () => {
  const claim = async (threshold: string) => {
    const paywall = fixture.paywall({ settle: { threshold }, adminToken })
    await paywall.settler.run() // the next round is a minute away
    const channel = await fixture.open()
    await pay(paywall, await channel.voucher(300_000n), 300_000n)
    const headers = { Authorization: `Bearer ${adminToken}` }
    const asked = new Request('http://p.test/v1/admin/claim', { method: 'POST', headers })
    const answer = await (await paywall.endpoints(asked))?.json()
    return answer.claimed.map(({ amount }: { amount: string }) => amount)
  }
  expect(await claim('0.31')).toEqual([])
  expect(await claim('0.3')).toEqual(['0.3'])
})
