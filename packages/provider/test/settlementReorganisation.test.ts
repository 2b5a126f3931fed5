/** Reorganisations deeper than what was taken for final: what they take back was booked, and must neither stay so nor be silent. */
import { join } from 'node:path'
import { Writable } from 'node:stream'
import type { Paywall } from '@drain/provider'
import { sqliteLedger } from '@drain/provider/sqlite'
import type { Hex } from 'viem'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { main } from '../src/cli/main.ts'
import { alarms, clearAlarms } from '../src/ledger/alarms.ts'
import { doubts } from '../src/settle/doubts.ts'
import { type Fixture, type OpenChannel, startFixture } from './fixture.ts'

let fixture: Fixture
let clock = 0
let paywalls = 0
let path: string
let paywall: Paywall

beforeAll(async () => {
  fixture = await startFixture()
})
afterEach(() => paywall.close())
afterAll(() => fixture?.close())

const mine = (blocks: number) => fixture.chain.testClient.mine({ blocks })

/** A paywall whose rounds are run by the test, with a finality of two blocks; it has followed the chain up to now. */
async function start(): Promise<void> {
  clock = Date.now()
  path = join(fixture.folder, `reorganised-${paywalls++}.db`)
  paywall = fixture.paywall({
    ...{ finality: 2n, clock: () => clock, confirmations: () => 0n, exposure: '10' },
    settle: { threshold: '0.1', nativePrice: '0.000001' },
    ledger: sqliteLedger(path, { log: () => {} }),
  })
  await paywall.settler.run()
}

/** A channel that owes so much. */
async function owing(amount: bigint): Promise<OpenChannel> {
  const channel = await fixture.open()
  await pay(channel, amount, amount)
  return channel
}

async function pay(channel: OpenChannel, signed: bigint, amount: bigint): Promise<void> {
  const request = new Request('http://p.example/x', { headers: await channel.voucher(signed) })
  expect((await paywall.handle(request, amount, () => new Response('done'))).status).toBe(200)
}

/** Puts that many of the latest blocks in the place of others, which hold the given transactions. */
async function reorganise(depth: number, raw: readonly Hex[] = []): Promise<void> {
  await fixture.chain.testClient.request({
    method: 'anvil_reorg',
    params: [depth, raw.map((transaction) => [transaction, 0])],
  } as never)
}

/** Looks after transactions until none is under way, while blocks come and time passes. */
async function settled(): Promise<void> {
  const { transactions } = paywall.settler
  await expect
    .poll(async () => {
      clock += 60_000
      await mine(2)
      return (await transactions.poll()).entries.length
    })
    .toBe(0)
}

async function told() {
  const found = []
  for await (const { channelId, code } of alarms(paywall.ledger.notebook)) found.push({ channelId, code })
  return found
}

async function doubted(): Promise<Hex[]> {
  const found: Hex[] = []
  for await (const { channelId } of doubts(paywall.ledger.notebook)) found.push(channelId)
  return found
}

async function booked(channel: OpenChannel): Promise<bigint> {
  let sum = 0n
  for await (const { channelId, amount } of paywall.ledger.claims())
    if (channelId === channel.id) sum += amount
  return sum
}

async function status(): Promise<{ code: number; text: string }> {
  let text = ''
  const stream = new Writable({
    write(chunk, _, done) {
      text += chunk
      done()
    },
  })
  return { code: await main(['status', '--ledger', path], { stdout: stream, stderr: stream }), text }
}

test('a claim that was booked and is gone is an alarm, is claimed again, and nothing else is touched', async () => {
  await start()
  const [before, after] = [await owing(200_000n), await owing(300_000n)]
  await paywall.settlement.claim(before.id)
  await mine(10)
  await paywall.settlement.claim(after.id)
  await mine(3)
  await paywall.settler.run()
  expect(await paywall.settler.transactions.unsettled()).toEqual([])

  await reorganise(6)
  await paywall.settler.run()
  expect(await fixture.claimed(after.id)).toBe(0n)
  expect(await doubted()).toContain(after.id)
  expect(await told()).toEqual([]) // it may come again
  await mine(2)
  const running = paywall.settler.run()
  await expect.poll(told).toEqual([{ channelId: after.id, code: 'claim_vanished' }])
  await expect.poll(async () => (await paywall.settler.transactions.unsettled()).length).toBe(1)
  await settled()
  await running

  expect(await fixture.claimed(after.id)).toBe(300_000n)
  expect([await booked(before), await booked(after)]).toEqual([200_000n, 300_000n])
  for (const [channel, claimed] of [[before, 200_000n] as const, [after, 300_000n] as const]) {
    expect(await paywall.ledger.get(channel.id)).toMatchObject({ status: 'open', claimed, alarm: false })
    await pay(channel, 400_000n, 1_000n)
  }
  expect(await paywall.health.report()).toMatchObject({ status: 'degraded', reasons: ['alarms'] })
  const { code, text } = await status()
  expect([code, text]).toEqual([3, expect.stringContaining(`claim_vanished ${after.id}: 0.300000 USDC`)])

  await clearAlarms(paywall.ledger.notebook, { at: clock })
  await paywall.settler.run()
  expect([await told(), await doubted(), (await status()).code]).toEqual([[], [], 0])
})

test('a claim that comes again in another block is no alarm', async () => {
  await start()
  const channel = await owing(90_000n) // too little for a round to claim it
  await mine(5)
  await paywall.settler.run()
  const claimed = await paywall.settlement.claim(channel.id)
  await mine(3)
  await paywall.settler.run()
  const raw = (await fixture.chain.publicClient.request({
    method: 'eth_getRawTransactionByHash',
    params: [claimed?.txHash],
  } as never)) as Hex
  await reorganise(5, [raw])
  await paywall.settler.run()
  expect(await doubted()).toEqual([channel.id])
  await mine(4)
  await paywall.settler.run()
  expect([await told(), await doubted()]).toEqual([[], []])
  expect([await fixture.claimed(channel.id), await booked(channel)]).toEqual([90_000n, 90_000n])
})

test('a close that was booked and is gone: what it claimed is claimed again', async () => {
  await start()
  const channel = await owing(90_000n)
  await mine(5)
  await paywall.settler.run()
  const state = await paywall.ledger.get(channel.id)
  if (!state) throw new Error('unknown channel')
  expect(await paywall.closeChannel({ ...state, id: channel.id })).toHaveProperty('txHash')
  await mine(3)
  await paywall.settler.run()
  expect(await paywall.ledger.get(channel.id)).toMatchObject({ status: 'closed', claimed: 90_000n })
  await reorganise(5)
  await paywall.settler.run()
  await mine(2)
  const running = paywall.settler.run()
  await expect.poll(told).toEqual([{ channelId: channel.id, code: 'claim_vanished' }])
  await expect.poll(async () => (await paywall.settler.transactions.unsettled()).length).toBe(1)
  await settled()
  await running
  expect([await fixture.claimed(channel.id), await booked(channel)]).toEqual([90_000n, 90_000n])
  expect(await paywall.ledger.get(channel.id)).toMatchObject({ status: 'closed', claimed: 90_000n })
})

test('an open that went away while nobody followed is an alarm with the first claim, and put to rest at its expiry', async () => {
  const { testClient, publicClient } = fixture.chain
  await mine(3)
  await start()
  const channel = await owing(500_000n) // its block is gone before anybody looks
  await reorganise(1)
  await mine(3)
  await paywall.settler.run()
  expect(await told()).toEqual([]) // the node may only be behind
  expect(await doubted()).toEqual([channel.id])
  await mine(3)
  await paywall.settler.run()
  expect(await told()).toEqual([]) // it was heard of a moment ago
  await testClient.increaseTime({ seconds: 100 })
  await mine(3)
  await paywall.settler.run()
  expect(await told()).toEqual([{ channelId: channel.id, code: 'channel_vanished' }])
  expect(await paywall.ledger.get(channel.id)).toMatchObject({ status: 'closing', charged: 500_000n })
  const request = new Request('http://p.example/x', { headers: await channel.voucher(600_000n) })
  const refused = await paywall.handle(request, 1_000n, () => new Response('done'))
  expect(refused.headers.get('X-DRAIN-Error')).toBe('channel_closing')

  // It may come again until then: nothing is given up before.
  const { expiry } = (await paywall.ledger.get(channel.id)) ?? { expiry: 0n }
  await testClient.setNextBlockTimestamp({ timestamp: expiry })
  await mine(1)
  await paywall.settler.run()
  expect(await paywall.ledger.get(channel.id)).toMatchObject({ status: 'closing' })
  await testClient.setNextBlockTimestamp({ timestamp: expiry + 1n })
  await mine(4)
  await paywall.settler.run()
  expect(await paywall.ledger.get(channel.id)).toMatchObject({ status: 'closed', claimed: 0n })
  expect([await doubted(), await paywall.settler.problem()]).toEqual([[], undefined])

  await clearAlarms(paywall.ledger.notebook, { at: clock })
  clock = Number((await publicClient.getBlock()).timestamp) * 1_000
  await paywall.settler.run()
  expect([await told(), (await status()).code]).toEqual([[], 0])
})
