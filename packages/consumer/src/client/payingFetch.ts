import {
  LimitExceededError,
  PaymentRejectedError,
  UntrustedProviderError,
  Headers as Wire,
} from '@drain/core'
import { type Address, getAddress } from 'viem'
import type { ChannelBook } from './ChannelBook.ts'
import type { Events } from './events.ts'
import * as Limits from './Limits.ts'
import * as Origin from './Origin.ts'
import type { PaymentScheme, SchemePayer } from './PaymentScheme.ts'
import { type PriceList, whole } from './PriceList.ts'
import type { Pay } from './pay.ts'
import { type ReplayableRequest, replayable } from './ReplayableRequest.ts'
import { discard } from './readJson.ts'
import type { Wallet } from './Wallet.ts'
import { type Wire as ChannelWire, headersWire } from './Wire.ts'

/**
 * A `fetch` that pays: at once where channel and price are known, else after the 402 that tells them. See
 * {@link createDrainClient}.
 */
export function createPayingFetch(options: {
  fetch: typeof globalThis.fetch
  wallet: Wallet
  book: ChannelBook
  limits: Limits.Limits
  pay: Pay
  payBy: SchemePayer
  schemes: readonly PaymentScheme[]
  events: Events
  /** Where prices are kept, by origin; shared with who opens channels by hand. */
  pricesOf: (origin: string) => PriceList
}): typeof globalThis.fetch {
  const { fetch, wallet, book, limits, pay, payBy, schemes, events, pricesOf } = options
  const { deployment } = wallet

  /** What a 402 wants, if this client may give it. */
  function readOffer(request: ReplayableRequest, response: Response, wire: ChannelWire, offer: Wire.Offer) {
    const target = landedOn(request, response)
    const { origin } = target.url
    Origin.assertPayable(target.url)
    Origin.assertOffer(offer, { origin, deployment, provider: book.providerOf(origin) })
    const { required } = wire.readRejection(response)
    if (required === undefined) {
      const advice = 'See its /v1/docs.'
      throw new PaymentRejectedError(
        'voucher_required',
        `${origin} asks for a payment and names no price.`,
        advice,
      )
    }
    Limits.assertRequest(limits, required)
    Limits.assertAllowed(limits, origin, offer.provider)
    return { target, provider: plainAddress(offer.provider), quote: required }
  }

  async function answer(request: ReplayableRequest): Promise<Response> {
    // Another process may have opened a channel here.
    if (!book.providerOf(request.url.origin)) await book.refresh()
    const known = book.providerOf(request.url.origin)
    if (known) {
      const prices = pricesOf(request.url.origin)
      await prices.load()
      const price = prices.price(request)
      // A price above the limit may be an old one: its 402 says what it is now.
      if (price && price.most <= limits.perRequest) return pay(request, known, price, prices, headersWire)
    }

    const response = await fetch(request.url.href, request.init(request))
    if (response.status !== 402) return response
    const wire = headersWire
    const offer = wire.readOffer(response)
    if (!offer) return (await payBy(schemes, landedOn(request, response), response)) ?? response
    await discard(response)
    const { target, provider, quote } = readOffer(request, response, wire, offer)
    const prices = pricesOf(target.url.origin)
    prices.learn(target, quote)
    await prices.load()
    // The list may know that less is enough to begin a stream.
    const listed = prices.price(target)
    const price = listed?.most === quote ? listed : whole(quote)
    return pay(target, provider, price, prices, wire)
  }

  return async (input, init) => {
    const request = await replayable(input, init)
    // Whoever pays by hand doesn't want to pay twice.
    if (carriesVoucher(request)) return fetch(request.url.href, request.init(request))
    try {
      return await answer(request)
    } catch (error) {
      const { origin, href: url } = request.url
      if (isRefusal(error)) events.emit('refused', { origin, url, error })
      throw error
    }
  }
}

function isRefusal(error: unknown): boolean {
  return [LimitExceededError, PaymentRejectedError, UntrustedProviderError].some(
    (one) => error instanceof one,
  )
}

function carriesVoucher({ headers }: ReplayableRequest): boolean {
  return Wire.names.voucher.some((name) => headers.has(name))
}

/** Headers needn't have the checksum of mixed-case addresses right. */
function plainAddress(address: Address): Address {
  return getAddress(address.toLowerCase())
}

/** A 402 that came after redirects counts for where it came from, if that is the same origin. */
function landedOn(request: ReplayableRequest, response: Response): ReplayableRequest {
  if (!response.redirected || !response.url) return request
  const url = new URL(response.url)
  if (url.origin === request.url.origin) return { ...request, url }
  throw new UntrustedProviderError(
    `${request.url.origin} redirects to ${url.origin}, which asks for a payment.`,
    'Call that origin directly, if you trust it.',
  )
}
