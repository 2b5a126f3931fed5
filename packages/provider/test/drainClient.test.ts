/** The consumer's client against the real paywall: streams, lost answers, gasless channels, recovery. */
import { createDrainClient, type DrainClient, type DrainClientOptions, memoryStore } from '@drain/consumer'
import { PaymentUnknownError, Pricing, Quote, Usdc, Headers as Wire } from '@drain/core'
import { type Paywall, type PaywallConfig, sse } from '@drain/provider'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Fixture, startFixture } from './fixture.ts'

const origin = 'http://127.0.0.1:1'
const pricing = Pricing.perToken({ inputPer1k: '0.01', outputPer1k: '0.1', defaultMaxTokens: 2_048 })
const joke = Usdc.parse('0.02')

let fixture: Fixture
let paywall: Paywall
let client: DrainClient
/** Requests as they were sent. */
let sent: Request[]
/** Looks at a request's answer, and may lose it by throwing. */
let onAnswer: (request: Request, response: Response) => void

beforeAll(async () => {
  fixture = await startFixture()
})
afterAll(() => fixture?.close())
beforeEach(() => {
  sent = []
  onAnswer = () => {}
  paywall = provider()
  client = consumer()
})

const provider = (options: Partial<PaywallConfig> = {}) =>
  fixture.paywall({
    models: { small: pricing },
    relay: { nativePrice: '0.25', perMinute: 1_000, perDay: 1_000 },
    minPayout: '0.001',
    ...options,
  })

const consumer = (options: Partial<DrainClientOptions> = {}) =>
  createDrainClient({
    walletClient: fixture.chain.walletClient(fixture.consumer),
    deployment: fixture.chain.deployment,
    limits: { perRequest: '1', perChannel: '5', perDay: '100', perProvider: '20' },
    fetch: answer,
    ...options,
  })

/** A chat of 2,000 tokens, one event each, where it is a stream. */
async function* tokens(count: number) {
  for (let index = 1; index <= count; index++) {
    const cost = Pricing.cost(pricing, { inputTokens: 0, outputTokens: index })
    yield { data: JSON.stringify({ token: `word${index}` }), cost }
    if (index % 64 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
}

const answer: typeof fetch = async (input, init) => {
  const request = new Request(input as string, init)
  sent.push(request.clone())
  const response = (await paywall.endpoints(request.clone())) ?? (await serve(request))
  onAnswer(request, response)
  return response
}

async function serve(request: Request): Promise<Response> {
  if (new URL(request.url).pathname === '/joke') {
    return paywall.handle(request, joke, () => new Response('a joke'))
  }
  const body = (await request.clone().json()) as { stream?: boolean; max_tokens?: number }
  const quote = Quote.chat(pricing, body)
  if (!body.stream) return paywall.handle(request, quote.amount, () => Response.json({ text: 'word' }))
  return paywall.handle(request, Quote.inSteps(pricing, quote), (payment) =>
    sse(payment, tokens(quote.maxTokens)),
  )
}

const chat = (options: object = {}, init: RequestInit = {}) =>
  client.fetch(`${origin}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: 'small', messages: [{ role: 'user', content: 'Hello' }], ...options }),
    ...init,
  })
const channel = async (of = client) => {
  const [first] = await of.channels()
  if (!first) throw new Error('no channel')
  return first
}
const ledger = async (of = client) => paywall.ledger.get((await channel(of)).channelId)
const vouchers = () =>
  sent.flatMap((request) => {
    const parsed = Wire.parseVoucher(request.headers)
    return parsed.ok ? [parsed.voucher] : []
  })
const raises = () => sent.filter(({ url }) => url.endsWith('/v1/vouchers'))

test('a stream is paid a step at a time, and costs what its receipt says', async () => {
  const paid: string[] = []
  client.on('paid', ({ cost }) => paid.push(cost))
  await (await chat()).text()
  const before = (await ledger())?.authorized ?? 0n
  const response = await chat({ stream: true, max_tokens: 2_000 })
  const [first] = vouchers().slice(-1)
  const step = Pricing.cost(pricing, { inputTokens: 0, outputTokens: 256 })
  // No more than the input and the first step is signed before anything came.
  expect((first?.amount ?? 0n) - before).toBeLessThan(2n * step)
  const text = await response.text()
  expect(text.match(/"token"/g)).toHaveLength(2_000)
  expect(text).not.toContain('payment-')
  // 2,000 tokens are eight steps of 256; the first was there from the beginning.
  expect(raises().length).toBeGreaterThanOrEqual(6)
  expect(raises().length).toBeLessThanOrEqual(8)
  const account = await ledger()
  expect(Usdc.parse((await channel()).charged)).toBe(account?.charged)
  expect(paid).toHaveLength(2)
  expect(paid.reduce((sum, cost) => sum + Usdc.parse(cost), 0n)).toBe(account?.charged)
})

test('a stream that is left is paid for what came, and no further', async () => {
  await (await chat({ max_tokens: 10 })).text()
  const before = (await ledger())?.charged ?? 0n
  const reader = (await chat({ stream: true, max_tokens: 2_000 })).body?.getReader()
  await reader?.read()
  await reader?.cancel()
  const after = raises().length
  await expect.poll(async () => (await ledger())?.reserved).toBe(0n)
  const charged = ((await ledger())?.charged ?? 0n) - before
  const step = Pricing.cost(pricing, { inputTokens: 0, outputTokens: 256 })
  expect(charged).toBeLessThanOrEqual(2n * step)
  expect(raises()).toHaveLength(after)
  // The books agree again with the next answer.
  await (await chat({ max_tokens: 10 })).text()
  expect(Usdc.parse((await channel()).charged)).toBe((await ledger())?.charged)
})

test('a lost answer is asked for again, under the same key and amount, and charged once', async () => {
  await (await client.fetch(`${origin}/joke`)).text()
  let losses = 1
  onAnswer = (request) => {
    if (!request.url.endsWith('/joke') || losses-- <= 0) return
    throw new TypeError('fetch failed')
  }
  const response = await client.fetch(`${origin}/joke`)
  expect(await response.text()).toBe('a joke')
  expect(response.headers.get('Idempotency-Replayed')).toBe('true')
  const [, lost, repeated] = sent.filter(({ headers }) => headers.has(Wire.names.voucher[0]))
  expect(lost?.headers.get('Idempotency-Key')).toBe(repeated?.headers.get('Idempotency-Key'))
  const [, first, second] = vouchers()
  expect(first?.amount).toBe(second?.amount)
  expect(first?.nonce).not.toBe(second?.nonce)
  expect((await ledger())?.charged).toBe(2n * joke)
  expect((await channel()).charged).toBe('0.04')
  // Nothing is left over: the next one signs the next price.
  await (await client.fetch(`${origin}/joke`)).text()
  expect(vouchers().at(-1)?.amount).toBe(3n * joke)
})

test('lost twice: the caller can ask again with the key, for free', async () => {
  await (await client.fetch(`${origin}/joke`)).text()
  let losses = 2
  onAnswer = (request) => {
    if (request.url.endsWith('/joke') && losses-- > 0) throw new TypeError('fetch failed')
  }
  const error = await client.fetch(`${origin}/joke`).catch((error) => error)
  expect(error).toBeInstanceOf(PaymentUnknownError)
  const headers = { 'Idempotency-Key': error.idempotencyKey }
  expect(await (await client.fetch(`${origin}/joke`, { headers })).text()).toBe('a joke')
  expect((await ledger())?.charged).toBe(2n * joke)
})

test('twenty lost answers among parallel requests: the sums agree to the unit', async () => {
  await (await client.fetch(`${origin}/joke`)).text()
  let count = 0
  onAnswer = (request, response) => {
    if (!request.url.endsWith('/joke') || response.headers.get('Idempotency-Replayed')) return
    if (++count % 2 === 0) throw new TypeError('fetch failed')
  }
  const all = await Promise.all(Array.from({ length: 40 }, () => client.fetch(`${origin}/joke`)))
  expect(all.map(({ status }) => status)).toEqual(Array.from({ length: 40 }, () => 200))
  onAnswer = () => {}
  await (await client.fetch(`${origin}/joke`)).text()
  expect((await ledger())?.charged).toBe(42n * joke)
  expect(Usdc.parse((await channel()).charged)).toBe(42n * joke)
})

test('gasless: one signature of the wallet, a session key for the rest, a refund without gas', async () => {
  const account = privateKeyToAccount(generatePrivateKey())
  await fixture.chain.fund(account.address, '7')
  const asked: string[] = []
  const prompting = {
    ...account,
    signTypedData(data: Parameters<typeof account.signTypedData>[0]) {
      asked.push(data.primaryType as string)
      return account.signTypedData(data)
    },
    sign: () => Promise.reject(new Error('nobody is there to sign')),
  } as typeof account
  client = consumer({ walletClient: fixture.chain.walletClient(prompting) })
  const opened: string[] = []
  client.on('opened', ({ deposit }) => opened.push(deposit))
  const open = await client.openChannel({ origin, amount: '2', gasless: true })
  expect(open).toMatchObject({ deposit: '2', state: 'open', origin })
  expect(opened).toEqual(['2'])
  for (let index = 0; index < 3; index++) {
    expect(await (await client.fetch(`${origin}/joke`)).text()).toBe('a joke')
  }
  expect(await (await chat({ stream: true, max_tokens: 600 })).text()).toContain('word600')
  // The proof crosses the wire once.
  const lengths = vouchers().map(({ signature }) => (signature.length - 2) / 2)
  expect(lengths[0]).toBe(193)
  expect(new Set(lengths.slice(1))).toEqual(new Set([65]))
  const { charged = 0n } = (await ledger()) ?? {}
  const { refund, finalAmount } = await client.close(origin)
  expect(Usdc.parse(finalAmount)).toBe(charged)
  expect(await fixture.balance(account.address)).toBe(Usdc.parse('5') + Usdc.parse(refund))
  expect(asked).toEqual(['ReceiveWithAuthorization'])
  expect(await fixture.chain.publicClient.getTransactionCount({ address: account.address })).toBe(0)
})

/** An account of its own, with USDC and gas. */
async function newcomer() {
  const account = privateKeyToAccount(generatePrivateKey())
  await fixture.chain.fund(account.address, '20')
  await fixture.chain.testClient.setBalance({ address: account.address, value: 10n ** 18n })
  return account
}

test('with everything forgotten: chain and provider tell what was, and it pays on', async () => {
  const account = await newcomer()
  client = consumer({ walletClient: fixture.chain.walletClient(account) })
  for (let index = 0; index < 3; index++) await (await client.fetch(`${origin}/joke`)).text()
  const { channelId } = await channel()
  // To somebody whom nobody names.
  const { id } = await fixture.open({ from: account, to: fixture.stranger.address })

  const forgetful = consumer({ walletClient: fixture.chain.walletClient(account), store: memoryStore() })
  const found = await forgetful.recover({ origins: [origin] })
  expect(found).toHaveLength(2)
  const again = found.find((one) => one.channelId === channelId)
  expect(again).toMatchObject({ origin, state: 'open', charged: '0.06', signed: '0.06', deposit: '5' })
  expect(found.find((one) => one.channelId === id)).toMatchObject({ origin: '', state: 'retired' })
  expect(await (await forgetful.fetch(`${origin}/joke`)).text()).toBe('a joke')
  expect(vouchers().at(-1)).toMatchObject({ channelId, amount: 4n * joke })
  expect(await forgetful.close(origin)).toMatchObject({ finalAmount: '0.08', refund: '4.92' })
  await expect(forgetful.close(id)).rejects.toMatchObject({ code: 'close_failed' })
})

test('a provider that invents a baseline in a recovery is believed as far as the own signature goes', async () => {
  const walletClient = fixture.chain.walletClient(await newcomer())
  client = consumer({ walletClient })
  for (let index = 0; index < 2; index++) await (await client.fetch(`${origin}/joke`)).text()
  const { channelId } = await channel()
  const lying: typeof fetch = async (input, init) => {
    const response = await answer(input, init)
    if (!String(input).includes('/v1/channels/')) return response
    const state = await response.json()
    return Response.json({ ...state, charged: '4000000', authorized: '4000000' })
  }
  const forgetful = consumer({ walletClient, fetch: lying })
  const found = await forgetful.recover({ origins: [origin] })
  expect(found.find((one) => one.channelId === channelId)).toMatchObject({ charged: '0.04', signed: '0.04' })

  const forging: typeof fetch = async (input, init) => {
    const response = await answer(input, init)
    if (!String(input).includes('/v1/channels/')) return response
    const state = await response.json()
    return Response.json({ ...state, charged: '4000000', voucher: { ...state.voucher, amount: '4000000' } })
  }
  const cheated = consumer({ walletClient, fetch: forging })
  const seen = await cheated.recover({ origins: [origin] })
  expect(seen.find((one) => one.channelId === channelId)).toMatchObject({ charged: '0', signed: '0' })
})
