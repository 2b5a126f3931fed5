import { Deployment } from '@drain/core'
import type { Hex } from 'viem'
import { beforeEach, expect, test } from 'vitest'
import type { ClientStore } from '../store/ClientStore.ts'
import { memoryStore } from '../store/memory.ts'
import { createBook } from './Book.ts'
import { createChannelBook, flightTime, type Slip } from './ChannelBook.ts'
import * as Limits from './Limits.ts'
import type { SessionRecord } from './records.ts'
import * as Spent from './Spent.ts'
import * as Tally from './Tally.ts'

const origin = 'https://provider.example'
const consumer = `0x${'c0'.repeat(20)}` as const
const provider = `0x${'90'.repeat(20)}` as const
const id = `0x${'12'.repeat(32)}` as const
const session: SessionRecord = { address: consumer, sealed: 'sealed', proof: '0x', isKnown: false }

let store: ClientStore
let time: number
beforeEach(() => {
  store = memoryStore()
  time = Date.parse('2026-01-31T13:00:00Z')
})

/** A client of the store; `ahead` by so many milliseconds. */
function open(client: string, ahead = 0) {
  const book = createBook(store, 'book/')
  const limits = Limits.parse({ perRequest: '0.05', perChannel: '5' })
  const deployment = Deployment.from({ chainId: 31_337, contract: provider, token: provider })
  const now = () => time + ahead
  const channels = createChannelBook({ book, deployment, consumer, limits, client, now })
  const charged = () => Spent.since(book.view, 0).charged
  return { ...channels, charged, step: book.step }
}

const channel = (channelId: Hex = id) => ({
  ...{ id: channelId, consumer, provider, deposit: 1_000_000n, claimed: 0n },
  expiry: BigInt(Date.parse('2026-02-01T13:00:00Z') / 1_000),
})
const duration = 86_400n
const found = { origin: '', duration, tally: Tally.start(1_000_000n), state: 'retired' as const }

async function take(channels: ReturnType<typeof open>, quote = 1_000n): Promise<Slip> {
  const taken = await channels.take(origin, quote)
  if (!taken) throw new Error('no room')
  return taken.slip
}

test('a request that others gave up and that is corrected then is under way once', async () => {
  const [asleep, other] = [open('asleep'), open('other')]
  await asleep.add(channel(), { origin, duration })
  const slip = await take(asleep)
  time += flightTime + 1
  await other.release(await take(other))
  expect(other.get(id).tally).toMatchObject({ inFlight: 0n, lost: 1_000n })
  const corrected = await asleep.reconcile(slip, 2_000n, 2_000n)
  if (typeof corrected === 'string') throw new Error(corrected)
  expect(asleep.get(id).tally).toMatchObject({ inFlight: 2_000n, lost: 0n })
  await asleep.settle(corrected, { cost: 2_000n, total: 2_000n, isRepeat: false })
  expect(asleep.get(id).tally).toMatchObject({ inFlight: 0n, lost: 0n, charged: 2_000n })
})

test('a store that writes and says that it failed: what nobody was given is not held', async () => {
  const { step } = store
  let isFailing = false
  store.step = async (since, decide) => {
    const revision = await step(since, decide)
    if (isFailing) throw new Error('no answer of the disk')
    return revision
  }
  const failing = async (task: Promise<unknown>) => {
    isFailing = true
    await expect(task).rejects.toMatchObject({ code: 'store_unavailable' })
    isFailing = false
  }
  const channels = open('one')
  await channels.add(channel(), { origin, duration })
  await failing(take(channels))
  const slip = await take(channels)
  expect(slip.amount).toBe(1_000n)
  await failing(channels.extend(slip, 5_000n))
  await channels.settle(slip, { cost: 1_000n, total: 1_000n, isRepeat: false })
  expect(channels.get(id)).toMatchObject({ flights: {}, tally: { charged: 1_000n, inFlight: 0n } })
})

test('a request ends once, whatever is said of it afterwards', async () => {
  const channels = open('one')
  await channels.add(channel(), { origin, duration })
  const slip = await take(channels)
  await channels.settle(slip, { cost: 400n, total: 400n, isRepeat: false })
  const { tally } = channels.get(id)
  await channels.release(slip)
  await channels.lose(slip)
  expect(channels.get(id).tally).toEqual(tally)
})

test('who is dead and had its clock a year ahead does not hold its place for a year', async () => {
  const [dead, other] = [open('dead', 365 * 86_400_000), open('other')]
  await dead.add({ ...channel(), expiry: channel().expiry + 400n * 86_400n }, { origin, duration })
  await take(dead)
  await take(other)
  expect(Object.values(other.get(id).flights).map(({ client }) => client)).toEqual(['other'])
  expect(other.get(id).tally).toMatchObject({ inFlight: 1_000n, lost: 1_000n })
})

test('what the provider got in all is counted once, though a request ends after the closing', async () => {
  const channels = open('one')
  await channels.add(channel(), { origin, duration })
  const slip = await take(channels)
  await channels.setClosed(id, 1_000n)
  await channels.settle(slip, { cost: 1_000n, total: 1_000n, isRepeat: false })
  expect(channels.charged()).toBe(1_000n)
  expect(channels.get(id).tally).toMatchObject({ delivered: 1_000n, inFlight: 0n })
})

test('a channel whose end is not known keeps its key, and comes back', async () => {
  const channels = open('one')
  await channels.add(channel(), { origin, duration, session: { ...session, isKnown: true } })
  expect(await channels.setClosed(id, undefined)).toMatchObject({ state: 'open' })
  expect(await channels.setClosed(id, undefined)).toBeUndefined()
  expect(channels.get(id)).toMatchObject({ state: 'closed', session: { sealed: 'sealed' } })
  await channels.reopen(id, 'open')
  expect(channels.get(id)).toMatchObject({ state: 'open', session: { sealed: 'sealed' } })

  await channels.setClosed(id, undefined)
  expect(await channels.setClosed(id, 5n)).toMatchObject({ state: 'closed' })
  expect(channels.get(id).session).toBeUndefined()
  expect(channels.charged()).toBe(5n)
  await channels.reopen(id, 'open')
  expect(channels.get(id)).toMatchObject({ state: 'closed', finalAmount: 5n })
})

test('a channel of an opening under way is not taken from it; found before it, it becomes what was opened', async () => {
  const channels = open('one')
  const opening = { origin, provider, amount: 1_000_000n, duration, begunAt: time }
  await channels.step((page) => page.put('opening', origin, { ...opening, channelId: id }))
  await channels.adopt(channel(), found)
  await channels.adopt(channel(`0x${'34'.repeat(32)}`), { ...found, origin })
  expect(channels.list()).toEqual([])

  await channels.step((page) => page.remove('opening', origin))
  await channels.adopt(channel(), found)
  expect(channels.get(id)).toMatchObject({ origin: '', state: 'retired' })
  expect(await channels.add(channel(), { origin, duration, session })).toMatchObject({
    ...{ origin, state: 'open', session, duration },
    tally: Tally.start(1_000_000n),
  })
  // What is bound stays so.
  await channels.adopt(channel(), { ...found, origin: 'https://rival.example', state: 'open' })
  expect(channels.get(id)).toMatchObject({ origin, session })
})
