/** Our client at our paywall, where a 402 offers the headers and a challenge: what it sends, and what it counts. */
import {
  type Wire as ChannelWire,
  createDrainClient,
  type DrainClient,
  type DrainClientOptions,
  headersWire,
} from '@drain/consumer'
import { Pricing, Quote, Usdc, Headers as Wire } from '@drain/core'
import { drainWire, evmCharge as payCharges, session } from '@drain/mpp/client'
import { drainSession, evmCharge } from '@drain/mpp/server'
import { type Paywall, type PaywallConfig, sse } from '@drain/provider'
import { Mppx } from 'mppx/client'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Fixture, startFixture } from '../../provider/test/fixture.ts'
import { cheapGas } from './charging.ts'

const origin = 'http://127.0.0.1:1'
let price = () => 1_000n
const pricing = Pricing.perToken({ inputPer1k: '0.01', outputPer1k: '0.1', defaultMaxTokens: 2_048 })

let fixture: Fixture
let paywall: Paywall
let sent: Request[]
/** Looks at an answer, and may lose it by throwing. */
let onAnswer: (request: Request) => void
beforeAll(async () => {
  fixture = await startFixture()
})
afterAll(() => fixture?.close())
beforeEach(() => {
  sent = []
  onAnswer = () => {}
  price = () => 1_000n
  paywall = selling()
})

const selling = (options: Partial<PaywallConfig> = {}) =>
  fixture.paywall({
    models: { small: pricing },
    minPayout: '0.001',
    schemes: [drainSession()],
    ...options,
  })

const answer: typeof fetch = async (input, init) => {
  const request = new Request(input, init)
  sent.push(request.clone())
  const response = await respond(request)
  onAnswer(request)
  return response
}

async function respond(request: Request): Promise<Response> {
  const endpoint = await paywall.endpoints(request.clone())
  if (endpoint) return endpoint
  if (new URL(request.url).pathname !== '/v1/chat/completions') {
    return paywall.handle(request, price(), () => new Response('a joke'))
  }
  const quote = Quote.chat(pricing, await request.clone().json())
  return paywall.handle(request, Quote.inSteps(pricing, quote), (payment) =>
    sse(payment, tokens(quote.maxTokens)),
  )
}

/** One event for each token. */
async function* tokens(count: number) {
  for (let index = 1; index <= count; index++) {
    yield { data: JSON.stringify({ token: `word${index}` }), cost: costOf(index) }
    if (index % 64 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
}

const costOf = (outputTokens: number) => Pricing.cost(pricing, { inputTokens: 0, outputTokens })

function createClient(
  wires: ChannelWire[] = [drainWire(), headersWire],
  options: Partial<DrainClientOptions> = {},
) {
  return createDrainClient({
    walletClient: fixture.chain.walletClient(fixture.consumer),
    deployment: fixture.chain.deployment,
    limits: { perRequest: '0.05', perChannel: '1', perDay: '100', perProvider: '20' },
    fetch: answer,
    wires,
    ...options,
  })
}

const url = (path: string) => `${origin}${path}`

/** How requests were paid, in order. */
function ways(): string[] {
  return sent
    .filter(({ url }) => !url.includes('/v1/'))
    .map(({ headers }) => {
      if (headers.has(Wire.names.voucher[0])) return 'headers'
      return headers.get('Authorization')?.startsWith('Payment ') ? 'credential' : 'unpaid'
    })
}

async function charged(client: DrainClient): Promise<bigint> {
  const [channel] = await client.channels()
  const state = channel && (await paywall.ledger.get(channel.channelId))
  return state?.charged ?? 0n
}

test('the headers come first, the wire where the caller puts it first', async () => {
  const plain = createClient([drainWire()])
  await plain.fetch(url('/joke'))
  await plain.fetch(url('/joke'))
  expect(ways()).toEqual(['unpaid', 'headers', 'headers'])
  sent = []
  const client = createClient()
  for (let index = 0; index < 3; index++) {
    const response = await client.fetch(url('/joke'))
    expect(await response.text()).toBe('a joke')
    expect(response.headers.has('Payment-Receipt')).toBe(true)
  }
  expect(ways()).toEqual(['unpaid', 'credential', 'credential', 'credential'])
  expect(await client.spending()).toMatchObject({ charged: '0.003', signed: '0.003' })
  expect(await charged(client)).toBe(3_000n)
})

test('parallel requests are all served from one channel', async () => {
  const client = createClient()
  const responses = await Promise.all(Array.from({ length: 10 }, () => client.fetch(url('/joke'))))
  expect(responses.map(({ status }) => status)).toEqual(Array(10).fill(200))
  expect(await charged(client)).toBe(10_000n)
  expect((await client.spending()).signed).toBe('0.01')
})

test('an answer that is lost is given again under its key, and charged once', async () => {
  const client = createClient()
  await client.fetch(url('/joke'))
  let lost = 0
  onAnswer = ({ headers }) => {
    if (headers.has('Authorization') && lost++ === 0) throw new TypeError('connection reset')
  }
  const response = await client.fetch(url('/joke'))
  expect(response.headers.get('Idempotency-Replayed')).toBe('true')
  expect(await charged(client)).toBe(2_000n)
  expect((await client.spending()).signed).toBe('0.002')
})

test('the price of a route that rises is corrected, and no more than that signed', async () => {
  const client = createClient()
  await client.fetch(url('/joke'))
  price = () => 4_000n
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  expect(ways()).toEqual(['unpaid', 'credential', 'credential', 'credential'])
  expect(await client.spending()).toMatchObject({ charged: '0.005', signed: '0.005' })
  // Of a price that falls, the receipt tells.
  price = () => 500n
  await client.fetch(url('/joke'))
  expect(await client.spending()).toMatchObject({ charged: '0.0055' })
})

test.each(['ours', 'mppx’s'])('a stream is raised a step at a time, through %s', async (through) => {
  const client = createClient(undefined, { limits: { perRequest: '1', perChannel: '5' } })
  const drain = session(client, { fetch: answer })
  const mppx = Mppx.create({ methods: [drain], fetch: drain.fetch, polyfill: false })
  const payer = through === 'ours' ? client : mppx
  const chat = () =>
    payer.fetch(url('/v1/chat/completions'), {
      method: 'POST',
      body: JSON.stringify({
        ...{ model: 'small', stream: true, max_tokens: 2_000 },
        messages: [{ role: 'user', content: 'Hello' }],
      }),
    })
  await (await chat()).text()
  const text = await (await chat()).text()
  expect(text.match(/"token"/g)).toHaveLength(2_000)
  expect(text).not.toContain('payment-')
  const raises = sent.filter(({ url }) => url.endsWith('/v1/vouchers'))
  expect(raises.length).toBeGreaterThanOrEqual(6)
  expect(Usdc.parse((await client.spending()).charged)).toBe(await charged(client))
})

test('mppx’s own client pays by the credential, from the same book', async () => {
  const client = createClient()
  const drain = session(client, { fetch: answer })
  const mppx = Mppx.create({ methods: [drain], fetch: drain.fetch, polyfill: false })
  for (let index = 0; index < 2; index++) expect(await (await mppx.fetch(url('/joke'))).text()).toBe('a joke')
  expect(ways()).toEqual(['unpaid', 'credential', 'unpaid', 'credential'])
  expect(await charged(client)).toBe(2_000n)
  expect(await client.spending()).toMatchObject({ charged: '0.002', signed: '0.002' })
})

test('a route that offers both is paid by the channel, unless charges are preferred or a channel isn’t worth its gas', async () => {
  paywall = selling({ schemes: [drainSession(), evmCharge(cheapGas)] })
  await paywall.ready()
  const { deployment } = fixture.chain
  const tokenDomain = { name: 'USD Coin', version: '2' }
  const schemes = [payCharges({ account: fixture.consumer, deployment, tokenDomain })]
  const pay = async (options: Partial<DrainClientOptions>) => {
    const client = createClient(undefined, { schemes, ...options })
    expect((await client.fetch(url('/joke'))).status).toBe(200)
    return (await client.channels()).length > 0 ? 'channel' : 'charge'
  }
  price = () => 20_000n
  expect(await pay({})).toBe('channel')
  expect(await pay({ prefer: 'charge' })).toBe('charge')
  expect(await pay({ openingCost: '0.41' })).toBe('charge')
})
