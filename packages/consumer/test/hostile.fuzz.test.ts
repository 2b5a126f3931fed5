/** Whatever a provider answers, a store does and callers give up: nothing stays reserved, and no more is believed than may be. */
import { Headers as Wire } from '@drain/core'
import { expect, test } from 'vitest'
import { type ChannelRecord, fromText } from '../src/client/records.ts'
import { type ClientStore, memoryStore } from '../src/index.ts'
import { clientsWith, provider, setUp, url } from './fixture.ts'
import { dropped } from './serve.ts'

setUp()

/** `limits.undelivered`, in base units. */
const undelivered = 3_000n
const limits = {
  ...{ perRequest: '0.05', perChannel: '5', perProvider: '50' },
  ...{ locked: '500', perDay: '100', undelivered: '0.003' },
}

/** Numbers from 0 to 1 that look random (mulberry32). */
function randomFrom(seed: number) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), 1 | state)
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
}

const codes = ['insufficient_funds', 'invalid_nonce', 'channel_terms', 'voucher_required', 'exceeds_deposit']

type Draw = { number: () => number; below: (end: number) => bigint; isLess: (than: number) => boolean }
type Paid = { channelId: `0x${string}`; amount: bigint }

/** Answers to a paid request that no honest provider gives, or gives only at times. */
const lies: ((paid: Paid, draw: Draw) => Response)[] = [
  () => dropped,
  () => new Response('no', { status: 500 }),
  () => new Response('', { status: 503, headers: { 'X-DRAIN-Error': 'unavailable' } }),
  () => new Response('', { status: 409, headers: { 'X-DRAIN-Error': 'idempotency_in_flight' } }),
  () => new Response(null, { status: 307, headers: { Location: 'http://127.0.0.1:9/' } }),
  () => Object.defineProperty(stream('data: x\n\n'), 'status', { value: 999 }),
  ({ amount }, { number, below, isLess }) => {
    const headers = new Headers({ 'X-DRAIN-Error': codes[Math.floor(number() * codes.length)] ?? '' })
    if (isLess(0.5)) headers.set('X-DRAIN-Required', `${below(60_000)}`)
    if (isLess(0.5)) headers.set('X-Payment-Required', `${amount + below(4_000)}`)
    return new Response('', { status: 402, headers })
  },
  ({ channelId, amount }, { below, isLess }) => {
    const headers = new Headers(isLess(0.5) ? { 'Idempotency-Replayed': 'true' } : {})
    Wire.writeCosts(headers, { channelId, cost: below(3_000), total: amount * below(3), remaining: 0n })
    return new Response('ok', { headers })
  },
  ({ channelId, amount }, { below, isLess }) => {
    const need = { channelId, requiredCumulative: '999999', acceptedCumulative: '0', deposit: '5000000' }
    const receipt = { channelId, cost: `${below(3_000)}`, total: `${amount}`, remaining: '0' }
    const asked = `event: payment-need-voucher\ndata: ${JSON.stringify(need)}\n\n`
    const told = `event: payment-receipt\ndata: ${JSON.stringify(receipt)}\n\n`
    return stream('data: x\n\n', asked, isLess(0.5) ? told : '', 'data: y\n\n')
  },
]

function stream(...parts: string[]): Response {
  return new Response(new Blob(parts).stream(), { headers: { 'Content-Type': 'text/event-stream' } })
}

/** A store that fails at times: before it writes, or after. */
function failingStore({ isLess }: Draw) {
  const inner = memoryStore()
  const failing = { rate: 0 }
  const store: ClientStore = {
    ...inner,
    async step(since, decide) {
      const [isFailing, isBefore] = [isLess(failing.rate), isLess(0.5)]
      if (isFailing && isBefore) throw new Error('not written')
      const revision = await inner.step(since, decide)
      if (isFailing) throw new Error('written, maybe')
      return revision
    },
  }
  return { store, failing }
}

async function channelsIn(store: ClientStore): Promise<ChannelRecord[]> {
  const records: ChannelRecord[] = []
  await store.step(0, (all) => {
    for (const { key, text } of all) {
      if (key.includes('/channel/')) records.push(fromText(text ?? '') as ChannelRecord)
    }
    return []
  })
  return records
}

test.each([1, 2, 3, 4, 5, 6])('two clients of one store; seed %i', async (seed) => {
  const number = randomFrom(seed)
  const draw: Draw = {
    number,
    below: (end) => BigInt(Math.floor(number() * end)),
    isLess: (than) => number() < than,
  }
  const { store, failing } = failingStore(draw)
  provider.pricing = { ...provider.pricing, features: ['idempotency', 'vouchers'] }
  const createClient = clientsWith(() => ({ store, limits }))
  const clients = [createClient(), createClient()]
  for (const client of clients) await client.fetch(url('/joke'))

  provider.instead = (_, { voucher }) =>
    voucher && draw.isLess(0.6) ? lies[Math.floor(number() * lies.length)]?.(voucher, draw) : undefined
  failing.rate = seed % 2 === 0 ? 0.15 : 0
  async function ask(): Promise<void> {
    const signal = AbortSignal.timeout(draw.isLess(0.3) ? 20 : 1_500)
    const path = draw.isLess(0.5) ? '/joke' : '/stream'
    const response = await clients[Number(draw.below(2))]?.fetch(url(path), { signal })
    if (draw.isLess(0.3)) await response?.body?.cancel()
    else await response?.text()
  }
  for (let round = 0; round < 8; round++) {
    await Promise.allSettled(Array.from({ length: 6 }, ask))
  }
  failing.rate = 0
  provider.instead = () => undefined
  for (const client of clients) expect((await client.fetch(url('/joke'))).status).toBe(200)

  for (const { flights, tally } of await channelsIn(store)) {
    const { deposit, signed, charged, delivered, lost, inFlight } = tally
    expect({ flights, inFlight }).toEqual({ flights: {}, inFlight: 0n })
    expect(lost).toBeGreaterThanOrEqual(0n)
    expect(charged).toBeLessThanOrEqual(delivered + (lost < undelivered ? lost : undelivered))
    expect(charged <= signed && signed <= deposit).toBe(true)
  }
})
