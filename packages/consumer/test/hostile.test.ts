/** The client against providers that lie. One case each; what counts is what was signed, and where it went. */
import {
  LimitExceededError,
  PaymentRejectedError,
  PaymentUnknownError,
  UntrustedProviderError,
  Usdc,
  Headers as Wire,
} from '@drain/core'
import type { Hex } from 'viem'
import { beforeEach, expect, test, vi } from 'vitest'
import { type DrainClient, memoryStore } from '../src/index.ts'
import { amounts, chain, createClient, provider, setUp, url } from './fixture.ts'
import { dropped, serve } from './serve.ts'
import { startTestProvider } from './TestProvider.ts'

setUp()

let client: DrainClient
beforeEach(() => {
  client = createClient()
})

const signed = async () => Usdc.parse((await client.spending()).signed)
const blocks = () => chain.publicClient.getBlockNumber()
const refusal = (headers: Record<string, string>) => new Response('', { status: 402, headers })

/** Answers paid requests only. */
function answerPaid(answer: () => Response): void {
  provider.instead = (_, { voucher }) => (voucher ? answer() : undefined)
}

/** Another server, that remembers what it was sent. */
async function stranger(answer: () => Response = () => new Response('thanks')) {
  const seen: Request[] = []
  const server = await serve((request) => {
    seen.push(request)
    return answer()
  })
  return { ...server, seen }
}

test.each([301, 302, 303, 307, 308])('a %i to another origin carries no voucher', async (status) => {
  await client.fetch(url('/joke'))
  const other = await stranger()
  answerPaid(() => new Response(null, { status, headers: { Location: `${other.origin}/steal` } }))
  const paid = client.fetch(url('/joke'))
  await expect(paid).rejects.toThrow(UntrustedProviderError)
  await expect(paid).rejects.toThrow(other.origin)
  expect(other.seen).toEqual([])
  // Asked for the redirect itself, the caller gets it.
  expect((await client.fetch(url('/joke'), { redirect: 'manual' })).status).toBe(status)
  expect(other.seen).toEqual([])
  await other.close()
})

test('a redirect before the payment leads to no payment elsewhere', async () => {
  const before = await blocks()
  const shop = await startTestProvider(chain, chain.accounts[2])
  provider.instead = () => new Response(null, { status: 307, headers: { Location: `${shop.origin}/joke` } })
  await expect(client.fetch(url('/joke'))).rejects.toThrow(/redirects to .*, which asks for a payment/)
  expect(shop.vouchers()).toEqual([])
  expect(await blocks()).toBe(before)
  await shop.close()
})

test('a redirect within the origin, before the payment, is followed', async () => {
  provider.instead = (_, { path }) =>
    path === '/old' ? new Response(null, { status: 308, headers: { Location: url('/new') } }) : undefined
  expect((await client.fetch(url('/old'))).status).toBe(200)
  expect(provider.seen.at(-1)?.path).toBe('/new')
})

test.each([
  [303, 'GET '],
  [307, 'POST order'],
])('a POST that a %i leads on within the origin is paid as what it became: a %s', async (status, becomes) => {
  provider.instead = (_, { path }) =>
    path === '/old' ? new Response(null, { status, headers: { Location: url('/new') } }) : undefined
  await client.fetch(url('/old'), { method: 'POST', body: 'order' })
  const asked = provider.seen.filter(({ path }) => path === '/new')
  expect(asked.map(({ method, body }) => `${method} ${body}`)).toEqual([becomes, becomes])
  expect(asked.at(-1)?.voucher).toBeDefined()
})

test('a POST whose way can’t be seen is not paid as something that it may not be', async () => {
  vi.stubGlobal('document', {})
  provider.instead = (_, { path }) =>
    path === '/old' ? new Response(null, { status: 303, headers: { Location: url('/new') } }) : undefined
  const sent = client.fetch(url('/old'), { method: 'POST', body: 'order' })
  await expect(sent).rejects.toThrow(/redirects a POST to .*\/new, which asks for a payment/)
  vi.unstubAllGlobals()
  expect(provider.vouchers()).toEqual([])
})

test('requests at the same time that are told of different providers: one of these gets a channel', async () => {
  const limits = { perRequest: '3', perChannel: '5', perProvider: '5', locked: '100', perDay: '100' }
  const rich = createClient({ limits })
  const names = [1, 2, 3].map((index) => chain.accounts[index]?.address as Hex)
  provider.quote = 3_000_000n
  let finish = () => {}
  provider.work = () => new Promise((resolve) => (finish = resolve))
  provider.instead = (_, { voucher, path }) => {
    if (!voucher && path !== '/v1/pricing') provider.offer = { provider: names[0] as Hex }
    if (!voucher && path !== '/v1/pricing' && names.length > 1) names.shift()
    return undefined
  }
  const asked = [1, 2, 3].map((index) => rich.fetch(url(`/joke${index}`)))
  const refused = await Promise.any(
    asked.map((one) =>
      one.then(
        () => Promise.reject(),
        (error) => error,
      ),
    ),
  )
  expect(refused).toBeInstanceOf(UntrustedProviderError)
  await expect.poll(() => amounts()).toEqual([3_000_000n])
  finish()
  const outcomes = await Promise.allSettled(asked)
  expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected'])
  expect((await rich.spending()).locked).toBe('5')
})

test.each([
  ['a status', { status: 999 }],
  ['words beside the status', { statusText: '\u0001' }],
])(
  'streams with %s that no made-up answer can have earn the limit for what was not delivered',
  async (_, odd) => {
    client = createClient({
      limits: { perRequest: '0.001', perChannel: '5' },
      async fetch(input, init) {
        const response = await fetch(input, init)
        if (!new Headers(init?.headers).has('X-DRAIN-Voucher') || provider.vouchers().length < 2)
          return response
        const stream = new Response('data: x\n\n', { headers: { 'Content-Type': 'text/event-stream' } })
        for (const [name, value] of Object.entries(odd)) Object.defineProperty(stream, name, { value })
        return stream
      },
    })
    await client.fetch(url('/joke'))
    // What it charges for them is paid up to the limit, 0.003.
    for (let index = 0; index < 8; index++) await client.fetch(url('/joke')).catch(() => {})
    expect(await signed()).toBeLessThanOrEqual(1_000n + 3_000n + 1_000n)
  },
)

test.each([
  ['contract', { contract: '0x00000000000000000000000000000000000000aa' as Hex }],
  ['chain', { chainId: 137 }],
])('a 402 that names another %s: nothing is approved, opened or signed', async (_, offer) => {
  provider.offer = offer
  const before = await blocks()
  await expect(client.fetch(url('/joke'))).rejects.toThrow(UntrustedProviderError)
  expect(await blocks()).toBe(before)
  expect(provider.vouchers()).toEqual([])
})

test('a 402 that names another provider than the one its origin was opened for', async () => {
  await client.fetch(url('/joke'))
  const before = await blocks()
  provider.offer = { provider: chain.accounts[2].address }
  await expect(client.fetch(url('/another'))).rejects.toThrow(UntrustedProviderError)
  expect(await blocks()).toBe(before)
  expect(amounts()).toEqual([1_000n])
})

test('a stranger that names an honest provider gets a channel of its own, and no voucher of the other', async () => {
  await client.fetch(url('/joke'))
  const thief = await startTestProvider(chain, chain.accounts[2])
  thief.offer = { provider: provider.account.address }
  await client.fetch(`${thief.origin}/joke`)
  const [honest, own] = await client.channels()
  expect(own?.origin).toBe(thief.origin)
  expect(thief.vouchers().map(({ channelId }) => channelId)).toEqual([own?.channelId])
  expect(own?.channelId).not.toBe(honest?.channelId)
  await thief.close()
})

test.each([
  ['the consumer itself', () => chain.accounts[0].address],
  ['nobody', (): Hex => '0x0000000000000000000000000000000000000000'],
  ['the contract', () => chain.deployment.contract],
])('an offer to pay %s: nothing is approved', async (_, address) => {
  provider.offer = { provider: address() }
  const before = await blocks()
  await expect(client.fetch(url('/joke'))).rejects.toMatchObject({ code: 'invalid_format' })
  expect(await blocks()).toBe(before)
})

test('a payment without TLS', async () => {
  const plain = createClient({
    fetch: (input, init) => fetch(String(input).replace('http://api.example.com', provider.origin), init),
  })
  await expect(plain.fetch('http://api.example.com/joke')).rejects.toThrow(/without TLS/)
  expect((await plain.fetch('http://api.example.com/free')).status).toBe(200)
  expect(provider.vouchers()).toEqual([])
})

test('a 402 without a price, and one without an offer', async () => {
  provider.instead = (_, { path }) => {
    if (path === '/plain') return refusal({})
    const headers = new Headers()
    const { contract, chainId } = chain.deployment
    Wire.writeOffer(headers, { provider: provider.account.address, contract, chainId, features: [] })
    return new Response('', { status: 402, headers })
  }
  expect((await client.fetch(url('/plain'))).status).toBe(402)
  await expect(client.fetch(url('/joke'))).rejects.toThrow(/names no price/)
})

test('a price list with terms beyond the limits', async () => {
  provider.pricing = { terms: { minDeposit: '1000000' } }
  await expect(client.fetch(url('/joke'))).rejects.toThrow(LimitExceededError)
  expect(provider.vouchers()).toEqual([])
})

test('a rising price ends at the limit', async () => {
  await client.fetch(url('/joke'))
  provider.instead = (_, { voucher }) => {
    if (!voucher) return undefined
    provider.quote *= 10n
    const required = provider.quote
    return refusal({
      'X-DRAIN-Error': 'insufficient_funds',
      'X-DRAIN-Required': `${required}`,
      'X-Payment-Required': `${1_000n + required}`,
    })
  }
  // 0.01: corrected once, then refused a second time. 0.1: above the limit.
  await expect(client.fetch(url('/joke'))).rejects.toThrow(PaymentRejectedError)
  await expect(client.fetch(url('/joke'))).rejects.toThrow(LimitExceededError)
  expect(await signed()).toBe(11_000n)
})

test('a 402 in a loop gets the price of one request, however often it is asked', async () => {
  await client.fetch(url('/joke'))
  for (const code of [
    'insufficient_funds',
    'voucher_required',
    'invalid_nonce',
    'invalid_signature',
    'nonsense',
  ]) {
    answerPaid(() =>
      refusal({
        'X-DRAIN-Error': code,
        'X-DRAIN-Required': '1000',
        'X-Payment-Required': `${(amounts().at(-1) ?? 0n) + 1_000n}`,
      }),
    )
    for (let index = 0; index < 3; index++) {
      await expect(client.fetch(url('/joke'))).rejects.toThrow(PaymentRejectedError)
    }
  }
  expect(await signed()).toBe(2_000n)
  expect(await client.channels()).toHaveLength(1)
})

test('more required than was ever signed is not believed', async () => {
  await client.fetch(url('/joke'))
  answerPaid(() =>
    refusal({
      'X-DRAIN-Error': 'insufficient_funds',
      'X-DRAIN-Required': '1000',
      'X-Payment-Required': '900000',
    }),
  )
  const refused = client.fetch(url('/joke'))
  await expect(refused).rejects.toThrow(
    /wants 0\.900000 USDC in all; this client got answers for 0\.001000 USDC/,
  )
  expect(amounts()).toEqual([1_000n, 2_000n])
})

test('failing requests on purpose earns at most what they would have cost', async () => {
  await client.fetch(url('/joke'))
  answerPaid(() => dropped)
  for (let index = 0; index < 5; index++)
    await expect(client.fetch(url('/joke'))).rejects.toThrow(PaymentUnknownError)
  expect(await signed()).toBe(2_000n)
  answerPaid(() =>
    refusal({
      'X-DRAIN-Error': 'insufficient_funds',
      'X-DRAIN-Required': '1000',
      'X-Payment-Required': '7000',
    }),
  )
  // 0.001 was delivered, 0.005 lost; but no more than 0.002 was ever signed, so no more can have been charged.
  await expect(client.fetch(url('/joke'))).rejects.toThrow(PaymentRejectedError)
  expect(await signed()).toBe(2_000n)
})

test.each([
  ['far too high', '4000000', '1000'],
  ['with a cost above the price', '4000000', '4000000'],
  ['with a huge number', '9'.repeat(70), '9'.repeat(70)],
])('a false total %s is not believed', async (_, total, cost) => {
  await client.fetch(url('/joke'))
  const [channel] = await client.channels()
  const headers = new Headers()
  Wire.writeCosts(headers, {
    channelId: channel?.channelId ?? '0x',
    cost: BigInt(cost),
    total: BigInt(total),
    remaining: 0n,
  })
  answerPaid(() => new Response('ok', { headers }))
  for (let index = 0; index < 3; index++) await client.fetch(url('/joke'))
  expect(amounts()).toEqual([1_000n, 2_000n, 3_000n, 4_000n])
})

test('a total that falls changes nothing', async () => {
  await client.fetch(url('/joke'))
  const [channel] = await client.channels()
  const headers = new Headers()
  Wire.writeCosts(headers, { channelId: channel?.channelId ?? '0x', cost: 1_000n, total: 0n, remaining: 0n })
  answerPaid(() => new Response('ok', { headers }))
  await client.fetch(url('/joke'))
  await client.fetch(url('/joke'))
  expect(amounts()).toEqual([1_000n, 2_000n, 3_000n])
})

test('costs of another channel are not this one’s', async () => {
  await client.fetch(url('/joke'))
  const headers = new Headers()
  Wire.writeCosts(headers, {
    channelId: `0x${'11'.repeat(32)}`,
    cost: 1_000n,
    total: 900_000n,
    remaining: 0n,
  })
  answerPaid(() => new Response('ok', { headers }))
  await client.fetch(url('/joke'))
  await client.fetch(url('/joke'))
  // Nobody said what the second cost: it may have been charged, and nothing more is signed for it.
  expect(amounts()).toEqual([1_000n, 2_000n, 2_000n])
})

test('what is told of a payment is what is believed', async () => {
  const told: string[] = []
  client.on('paid', ({ cost }) => told.push(cost))
  provider.instead = (_, { voucher }) => {
    if (!voucher) return undefined
    const headers = new Headers()
    const cost = 10n ** 30n
    Wire.writeCosts(headers, { channelId: voucher.channelId, cost, total: cost, remaining: 0n })
    return new Response('ok', { headers })
  }
  await client.fetch(url('/joke'))
  expect(told).toEqual(['0.001'])
})

test('a stream with a false receipt costs at most its price', async () => {
  await client.fetch(url('/joke'))
  const [channel] = await client.channels()
  const { channelId } = channel ?? {}
  const receipt = { channelId, cost: '4000000', total: '4000000', remaining: '0' }
  const need = { channelId, requiredCumulative: '4000000', acceptedCumulative: '2000', deposit: '5000000' }
  const text = [
    `event: payment-need-voucher\ndata: ${JSON.stringify(need)}\n\n`,
    `event: payment-receipt\ndata: ${JSON.stringify(receipt)}\n\n`.repeat(3),
  ].join('')
  answerPaid(() => new Response(text, { headers: { 'Content-Type': 'text/event-stream' } }))
  expect(await (await client.fetch(url('/stream'))).text()).toBe('')
  await (await client.fetch(url('/stream'))).text()
  expect(amounts()).toEqual([1_000n, 2_000n, 3_000n].slice(0, amounts().length))
  expect(await signed()).toBe(3_000n)
})

test.each(['channel_expired', 'channel_closing'])(
  '%s without any service opens no second channel',
  async (code) => {
    answerPaid(() => refusal({ 'X-DRAIN-Error': code }))
    await expect(client.fetch(url('/joke'))).rejects.toThrow(/has served nothing on it/)
    await expect(client.fetch(url('/joke'))).rejects.toThrow(/has served nothing on it/)
    expect(await client.channels()).toHaveLength(1)
  },
)

test('channel_not_found for a channel that is on chain opens no second one', async () => {
  await client.fetch(url('/joke'))
  answerPaid(() => refusal({ 'X-DRAIN-Error': 'channel_not_found' }))
  await expect(client.fetch(url('/joke'))).rejects.toThrow(/does not find channel .*, which is on chain/)
  expect(await client.channels()).toHaveLength(1)

  // Nor does one that never appears, once its confirmations must have come.
  const late = createClient({ now: () => Date.now() + 600_000 })
  await expect(late.fetch(url('/joke'))).rejects.toThrow(/which is on chain/)
  expect(await late.channels()).toHaveLength(1)
})

/** Takes one request per channel, at the smallest cost, and refuses the channel from then on. */
function takeOncePerChannel(code: string): void {
  const used = new Set<Hex>()
  provider.pricing = { terms: { minDeposit: '5' } }
  provider.instead = (_, { path, voucher }) => {
    if (path === '/v1/close-channel') return dropped
    if (!voucher) return undefined
    const { channelId } = voucher
    if (used.has(channelId)) return refusal({ 'X-DRAIN-Error': code })
    used.add(channelId)
    const headers = new Headers()
    Wire.writeCosts(headers, { channelId, cost: 1n, total: 1n, remaining: 0n })
    return new Response('ok', { headers })
  }
}

test('one unit delivered per channel, then channel_expired: long before its expiry it is not believed', async () => {
  takeOncePerChannel('channel_expired')
  expect((await client.fetch(url('/joke'))).status).toBe(200)
  for (let index = 0; index < 5; index++) {
    const refused = client.fetch(url('/joke'))
    await expect(refused).rejects.toThrow(PaymentRejectedError)
    await expect(refused).rejects.toThrow(/says that channel .* has expired; it expires 2/)
  }
  expect(await client.spending()).toMatchObject({ locked: '5' })
  expect(await client.channels()).toMatchObject([{ state: 'open' }])
})

test('one unit delivered per channel, then channel_closing: no other deposit before that one is closed', async () => {
  takeOncePerChannel('channel_closing')
  const store = memoryStore()
  const first = createClient({ store })
  expect((await first.fetch(url('/joke'))).status).toBe(200)
  // Nor after a restart.
  for (const one of [first, first, createClient({ store })]) {
    const refused = one.fetch(url('/joke'))
    await expect(refused).rejects.toThrow(PaymentRejectedError)
    await expect(refused).rejects.toThrow(
      /refuses channel .* \(channel_closing\) with 4\.999999 USDC left in it.*did not close.*try client\.close/s,
    )
    expect((await one.spending()).locked).toBe('5')
  }
  // Once it lets go of the deposit, it may have the next.
  provider.instead = () => undefined
  expect((await first.fetch(url('/joke'))).status).toBe(200)
  expect((await first.channels()).map(({ state }) => state)).toEqual(['closed', 'open'])
})

test('channels that seem to expire, one after another: twice the limit per channel by default', async () => {
  let time = Number((await chain.publicClient.getBlock()).timestamp) * 1_000
  takeOncePerChannel('channel_expired')
  const bounded = createClient({ now: () => time })
  await bounded.fetch(url('/joke'))
  // From here on its own clock says that the channels are of no use.
  const [{ expiry = 0n } = {}] = await bounded.channels()
  time = Number(expiry - 3_600n) * 1_000
  await chain.testClient.setNextBlockTimestamp({ timestamp: expiry - 3_600n })
  await bounded.fetch(url('/joke'))
  time = Number((await bounded.channels())[1]?.expiry ?? 0n) * 1_000 - 3_600_000
  // The first one has expired meanwhile; the chain's clock says otherwise, and so it stays locked.
  await expect(bounded.fetch(url('/joke'))).rejects.toMatchObject({ limit: 'perProvider' })
  expect((await bounded.spending()).locked).toBe('10')
  // What has expired is taken back when the next deposit needs the room.
  await chain.testClient.setNextBlockTimestamp({ timestamp: BigInt(time / 1_000) })
  await chain.testClient.mine({ blocks: 1 })
  await bounded.fetch(url('/joke'))
  expect((await bounded.channels()).map(({ state }) => state)).toEqual(['closed', 'open', 'open'])
  expect((await bounded.spending()).locked).toBe('10')
})

test('never delivering and asking for the failed ones too earns the limit for undelivered requests', async () => {
  let best = 0n
  provider.quote = 50_000n
  answerPaid(() => {
    const amount = amounts().at(-1) ?? 0n
    if (amount > best) {
      best = amount
      return new Response('sorry', { status: 500 })
    }
    return refusal({
      'X-DRAIN-Error': 'insufficient_funds',
      'X-DRAIN-Required': '50000',
      'X-Payment-Required': `${best + 50_000n}`,
    })
  })
  const outcomes: unknown[] = []
  for (let index = 0; index < 10; index++) {
    outcomes.push(
      await client.fetch(url('/joke')).then(
        ({ status }) => status,
        (error) => error.limit,
      ),
    )
  }
  expect(outcomes).toEqual([500, 500, 500, 500, ...Array(6).fill('undelivered')])
  // Three are believed to have been charged, one is under way.
  expect(await signed()).toBe(200_000n)
  await expect(client.fetch(url('/joke'))).rejects.toThrow(
    /wants 0\.250000 USDC in all .*; 0\.000000 USDC was delivered, and at most 0\.150000 USDC .* Close the channel/,
  )
})
