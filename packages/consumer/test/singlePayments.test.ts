/** Payments of their own, without a channel: the limits for what is not delivered hold for them too. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  createDrainClient,
  type DrainClientOptions,
  memoryStore,
  type PaymentScheme,
  type SchemeAnswer,
} from '../src/index.ts'
import { type LocalChain, startLocalChain } from '../src/testing/index.ts'
import { startTestProvider, type TestProvider } from './TestProvider.ts'

let chain: LocalChain
let provider: TestProvider
beforeAll(async () => {
  chain = await startLocalChain()
})
afterAll(() => chain.close())
beforeEach(async () => {
  provider = await startTestProvider(chain, chain.accounts[1])
  provider.instead = () => new Response('', { status: 402, headers: { 'X-Coin': 'please' } })
})
afterEach(() => provider.close())

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
  return createDrainClient({
    walletClient: chain.walletClient(chain.accounts[0]),
    deployment: chain.deployment,
    limits,
    schemes: [coin],
    ...options,
  })
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
