/** Payments of their own, without a channel: the limits for what is not delivered hold for them too. */
import { beforeEach, expect, test } from 'vitest'
import { type DrainClientOptions, memoryStore, type PaymentScheme, type SchemeAnswer } from '../src/index.ts'
import { clientsWith, provider, setUp } from './fixture.ts'
import { dropped } from './serve.ts'

setUp()

beforeEach(() => {
  provider.instead = () => new Response('', { status: 402, headers: { 'X-Coin': 'please' } })
})

const limits = { perRequest: '0.05', perChannel: '1', undelivered: '0.1', perDay: '10' }

/** A client whose scheme asks for 0.05 each time, and gets what `answer` says. */
function createClient(answer: SchemeAnswer | Error, options: Partial<DrainClientOptions> = {}) {
  const coin: PaymentScheme = {
    name: 'coin',
    readOffer: ({ headers }) =>
      headers.has('X-Coin')
        ? {
            amount: 50_000n,
            payee: 'coin:shop',
            async pay(request, fetch) {
              await fetch(request.url.href, request.init(request))
              if (answer instanceof Error) throw answer
              return answer
            },
          }
        : undefined,
  }
  return clientsWith(() => ({ limits, schemes: [coin] }))(options)
}

const ask = (client: ReturnType<typeof createClient>) =>
  client.fetch(`${provider.origin}/coin`).then(
    ({ status }) => status,
    (error) => error.limit ?? error.rejection ?? error.message,
  )

test.each([
  ['a failure', { response: new Response('sorry', { status: 500 }) }, 500],
  ['another 402', { response: new Response('', { status: 402 }) }, 'payment_refused'],
  ['nothing', new Error('the connection was lost'), 'the connection was lost'],
] as const)('who answers with %s is paid up to the limit for that, a day', async (_, answer, outcome) => {
  let time = Date.parse('2026-01-31T12:00:00Z')
  const options = { store: memoryStore(), now: () => time }
  const client = createClient(answer, options)
  const outcomes = [await ask(client), await ask(client), await ask(client)]
  expect(outcomes).toEqual([outcome, outcome, 'undelivered'])
  expect((await client.spending()).signed).toBe('0.1')
  // Whoever shares the store knows of it.
  expect(await ask(createClient(answer, options))).toBe('undelivered')
  time += 86_400_000
  expect(await ask(client)).toBe(outcome)
})

test('what an origin got for nothing stays within its limit, whatever the day; what it delivered doesn’t count', async () => {
  let time = Date.parse('2026-01-31T12:00:00Z')
  const options = { store: memoryStore(), now: () => time, limits: { ...limits, perProvider: '0.2' } }
  const delivering = createClient({ response: new Response('thanks') }, options)
  for (let index = 0; index < 5; index++) expect(await ask(delivering)).toBe(200)
  const failing = createClient({ response: new Response('', { status: 500 }) }, options)
  for (const outcome of [500, 500, 500, 500, 'perProvider']) {
    expect(await ask(failing)).toBe(outcome)
    time += 86_400_000
  }
  expect(await failing.spending()).toMatchObject({ signed: '0.45', charged: '0.45' })
})

test('an answer is believed to have cost no more than its price', async () => {
  const costs: string[] = []
  const told = (cost: bigint) => {
    const client = createClient({ response: new Response('thanks'), cost })
    client.on('paid', ({ cost }) => costs.push(cost))
    return client
  }
  const [dear, cheap] = [told(10n ** 30n), told(1n)]
  await ask(dear)
  await ask(cheap)
  expect(costs).toEqual(['0.05', '0.000001'])
  expect(await dear.spending()).toMatchObject({ charged: '0.05', signed: '0.05' })
  expect(await cheap.spending()).toMatchObject({ charged: '0.000001', signed: '0.000001' })
})

test('a payment that was never sent is not signed for', async () => {
  const unsent: PaymentScheme = {
    name: 'coin',
    readOffer: () => ({
      amount: 50_000n,
      payee: 'coin:shop',
      pay: async () => {
        throw new Error('the wallet refuses')
      },
    }),
  }
  const client = createClient(new Error('not asked'), { schemes: [unsent] })
  for (let index = 0; index < 5; index++) expect(await ask(client)).toBe('the wallet refuses')
  expect((await client.spending()).signed).toBe('0')
})

/** A scheme whose payments can be told apart: each has a number. */
function counting(expires?: number): { scheme: PaymentScheme; sent: { payment: string; key: string }[] } {
  const sent: { payment: string; key: string }[] = []
  let count = 0
  const readOffer: PaymentScheme['readOffer'] = () => ({
    ...{ amount: 50_000n, payee: 'coin:shop', expires },
    async pay(request, fetch) {
      const headers = new Headers({ ...Object.fromEntries(request.headers), 'X-Coin': `${++count}` })
      return { response: await fetch(request.url.href, request.init({ headers, redirect: 'follow' })) }
    },
  })
  const { instead } = provider
  provider.instead = (request, seen) => {
    const payment = request.headers.get('X-Coin')
    if (payment) sent.push({ payment, key: request.headers.get('Idempotency-Key') ?? '' })
    return payment ? answers.shift()?.() : instead(request, seen)
  }
  return { scheme: { name: 'coin', readOffer }, sent }
}

let answers: (() => Response)[] = []
const lost = () => dropped
const thanks = () => new Response('thanks')
const told =
  (status: number, code?: 'idempotency_in_flight' | 'rate_limited' | 'unavailable', headers = {}) =>
  () =>
    new Response('', { status, headers: { ...headers, ...(code && { 'X-DRAIN-Error': code }) } })

test.each<[string, (() => Response)[], unknown]>([
  ['lost', [lost, thanks], 200],
  ['lost, and is at work', [lost, told(409), thanks], 200],
  ['withheld until it is mined', [told(503, 'unavailable'), told(409, 'idempotency_in_flight'), thanks], 200],
  ['in the way of a server out of order', [told(503), thanks], 200],
  ['given up by a gateway', [told(504), told(409, 'idempotency_in_flight'), thanks], 200],
  ['given up by a gateway for good', [told(504), told(502), told(504)], 'payment_unknown'],
  ['held back while others are served', [told(429, 'rate_limited', { 'Retry-After': '1' }), thanks], 200],
  ['refused for a day', [told(429, 'rate_limited', { 'Retry-After': '3600' })], 429],
  [
    'announced by its receipt',
    [told(409, 'idempotency_in_flight', { 'Payment-Receipt': 'e30' }), thanks],
    200,
  ],
  ['lost for good', [lost, lost, lost], 'payment_unknown'],
  ['lost, and not known again', [lost, told(402)], 'payment_unknown'],
  ['a server out of order for good', [told(503), told(503), told(503)], 503],
  ['a conflict of its own', [told(409)], 409],
])('an answer that is %s: the same payment under one key', async (_, given, outcome) => {
  answers = [...given]
  const { scheme, sent } = counting()
  const client = createClient(new Error(), { schemes: [scheme] })
  const got = await client.fetch(`${provider.origin}/coin`).catch((error) => error)
  expect(got.status ?? got.code).toBe(outcome)
  const [{ key } = { key: '' }] = sent
  expect(key).toMatch(/-/)
  expect(sent).toEqual(given.map(() => ({ payment: '1', key })))
  if (outcome === 'payment_unknown') expect(got.idempotencyKey).toBe(key)
  expect((await client.spending()).signed).toBe('0.05')
})

test('the caller’s own key is kept; a payment that is over, or was left, is not sent again', async () => {
  answers = [lost, lost, lost, thanks]
  const own = counting()
  const headers = { 'Idempotency-Key': 'mine' }
  const options = { schemes: [own.scheme] }
  await expect(
    createClient(new Error(), options).fetch(`${provider.origin}/coin`, { headers }),
  ).rejects.toThrow()
  expect(new Set(own.sent.map(({ key }) => key))).toEqual(new Set(['mine']))
  const over = counting(Date.now())
  answers = [told(503, 'unavailable'), thanks]
  const late = createClient(new Error(), { schemes: [over.scheme] }).fetch(`${provider.origin}/coin`)
  await expect(late).rejects.toMatchObject({ code: 'payment_unknown' })
  expect(over.sent).toHaveLength(1)
  const leaving = new AbortController()
  const left = counting()
  answers = [
    () => {
      leaving.abort(new Error('left'))
      return told(503, 'unavailable')()
    },
  ]
  const { signal } = leaving
  const asking = createClient(new Error(), { schemes: [left.scheme] }).fetch(`${provider.origin}/coin`, {
    signal,
  })
  await expect(asking).rejects.toThrow('left')
  expect(left.sent).toHaveLength(1)
})
