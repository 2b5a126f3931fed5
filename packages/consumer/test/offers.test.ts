/** A 402 that offers a channel and a payment per request: which of them the client takes. */
import { Headers as Wire } from '@drain/core'
import { beforeEach, expect, test } from 'vitest'
import type { PaymentScheme } from '../src/index.ts'
import { chain, clientsWith, provider, setUp, url } from './fixture.ts'
import { serve } from './serve.ts'

setUp()

beforeEach(() => {
  provider.instead = ({ headers }, { voucher }) => {
    if (voucher) return undefined
    return headers.get('X-Coin') === 'paid' ? new Response('by coin') : offer()
  }
})

/** Offers both. */
function offer(changed: Partial<Wire.Offer> = {}): Response {
  const headers = new Headers({ 'X-Coin': 'please' })
  const { contract, chainId } = chain.deployment
  const { address } = provider.account
  Wire.writeOffer(headers, { provider: address, contract, chainId, features: [], ...changed })
  Wire.writeRejection(headers, { code: 'voucher_required', message: 'pay', required: provider.quote })
  return new Response('', { status: 402, headers })
}

/** Pays with a header. */
const coin: PaymentScheme = {
  name: 'coin',
  readOffer: ({ headers }) =>
    headers.has('X-Coin')
      ? {
          amount: provider.quote,
          payee: 'coin:shop',
          async pay(request, fetch) {
            const headers = new Headers(request.headers)
            headers.set('X-Coin', 'paid')
            // As a careless scheme would: redirects are the client's business.
            const init = request.init({ headers, redirect: 'follow' })
            return { response: await fetch(request.url.href, init) }
          },
        }
      : undefined,
}

const createClient = clientsWith(() => ({ schemes: [coin] }))

/** Pays a request: by a channel or by coin. */
async function way(client: { fetch: typeof fetch }, path = '/joke'): Promise<'channel' | 'coin'> {
  const response = await client.fetch(url(path))
  expect(response.status).toBe(200)
  return (await response.text()) === 'by coin' ? 'coin' : 'channel'
}

test('a channel, where twenty requests are worth its opening', async () => {
  expect(await way(createClient())).toBe('channel')
  provider.quote = 499n
  expect(await way(createClient())).toBe('coin')
  provider.quote = 500n
  expect(await way(createClient())).toBe('channel')
  expect(await way(createClient({ openingCost: '0.02' }))).toBe('coin')
  expect(await way(createClient({ openingCost: '0' }))).toBe('channel')
})

test('a channel, once more requests were paid singly than it costs', async () => {
  provider.quote = 1_000n
  const client = createClient({ openingCost: '0.025', limits: { perRequest: '0.05', perChannel: '5' } })
  const ways: string[] = []
  for (let index = 0; index < 27; index++) ways.push(await way(client))
  expect(ways).toEqual([...Array(25).fill('coin'), 'channel', 'channel'])
  // An open channel with room is used for cheap routes too.
  provider.quote = 1n
  expect(await way(client, '/cheap')).toBe('channel')
})

test('what the caller prefers, and the other where that is not offered', async () => {
  provider.quote = 1n
  expect(await way(createClient({ prefer: 'channel' }))).toBe('channel')
  provider.quote = 1_000n
  const charging = createClient({ prefer: 'charge' })
  expect(await way(charging)).toBe('coin')
  expect(await charging.channels()).toEqual([])
  expect(await way(createClient({ prefer: 'charge', schemes: [] }))).toBe('channel')
  provider.instead = ({ headers }) =>
    headers.get('X-Coin') === 'paid'
      ? new Response('by coin')
      : new Response('', { status: 402, headers: { 'X-Coin': 'please' } })
  expect(await way(createClient({ prefer: 'channel' }))).toBe('coin')
})

test('a channel, where twenty requests would save its opening; a payment where the channel has no price', async () => {
  provider.quote = 1n
  const asking = (amount: bigint): PaymentScheme => ({
    ...coin,
    readOffer(...of) {
      const offer = coin.readOffer(...of)
      return offer && { ...offer, amount }
    },
  })
  expect(await way(createClient({ schemes: [asking(500n)] }))).toBe('coin')
  expect(await way(createClient({ schemes: [asking(501n)] }))).toBe('channel')
  expect(await way(createClient({ schemes: [asking(501n)], openingCost: '0.010001' }))).toBe('coin')
  expect(await way(createClient({ schemes: [asking(501n)], prefer: 'charge' }))).toBe('coin')
  const { instead } = provider
  provider.instead = async (...of) => {
    const response = await instead(...of)
    if (response?.status === 402) response.headers.delete('X-DRAIN-Required')
    return response
  }
  expect(await way(createClient({ schemes: [asking(501n)] }))).toBe('coin')
})

test('a price per request above the limit leaves the channel', async () => {
  const dear: PaymentScheme = { ...coin, readOffer: (...of) => raised(coin.readOffer(...of)) }
  const raised = (offer: ReturnType<typeof coin.readOffer>) => offer && { ...offer, amount: 50_001n }
  expect(await way(createClient({ schemes: [dear], openingCost: '1' }))).toBe('channel')
})

test('a payment per request goes past no redirect', async () => {
  const seen: Request[] = []
  const stranger = await serve((request) => {
    seen.push(request)
    return new Response('thanks')
  })
  const headers = { Location: `${stranger.origin}/steal` }
  provider.instead = (request) =>
    request.headers.get('X-Coin') === 'paid' ? new Response(null, { status: 307, headers }) : offer()
  const client = createClient({ prefer: 'charge' })
  await expect(client.fetch(url('/joke'))).rejects.toThrow(/redirects a paid request/)
  expect(seen).toEqual([])
  await stranger.close()
})
