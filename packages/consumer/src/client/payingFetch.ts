import { PaymentRejectedError, UntrustedProviderError, Headers as Wire } from '@drain/core'
import { type Address, getAddress } from 'viem'
import type { ChannelBook } from './ChannelBook.ts'
import * as Limits from './Limits.ts'
import * as Origin from './Origin.ts'
import { createPriceList, type PriceList } from './PriceList.ts'
import type { Pay } from './pay.ts'
import { type ReplayableRequest, replayable } from './ReplayableRequest.ts'
import { discard } from './readJson.ts'
import type { Wallet } from './Wallet.ts'

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
  /** Unix milliseconds. */
  now: () => number
}): typeof globalThis.fetch {
  const { fetch, wallet, book, limits, pay, now } = options
  const { deployment } = wallet
  const priceLists = new Map<string, PriceList>()

  function pricesOf(origin: string): PriceList {
    const known = priceLists.get(origin)
    if (known) return known
    const list = createPriceList(origin, fetch, now)
    priceLists.set(origin, list)
    return list
  }

  /** What a 402 wants, if this client may give it. */
  function readOffer(request: ReplayableRequest, response: Response, offer: Wire.Offer) {
    const target = landedOn(request, response)
    const { origin } = target.url
    Origin.assertPayable(target.url)
    Origin.assertOffer(offer, { origin, deployment, provider: book.providerOf(origin) })
    const { required } = Wire.parseRejection(response.headers)
    if (required === undefined) {
      const advice = 'See its /v1/docs.'
      throw new PaymentRejectedError(
        'voucher_required',
        `${origin} asks for a payment and names no price.`,
        advice,
      )
    }
    Limits.assertRequest(limits, required)
    return { target, provider: plainAddress(offer.provider), quote: required }
  }

  return async (input, init) => {
    const request = await replayable(input, init)
    // Whoever pays by hand doesn't want to pay twice.
    if (carriesVoucher(request)) return fetch(request.url.href, request.init(request))
    await book.load()

    const known = book.providerOf(request.url.origin)
    if (known) {
      const prices = pricesOf(request.url.origin)
      await prices.load()
      const quote = prices.quote(request)
      // A price above the limit may be an old one: its 402 says what it is now.
      if (quote !== undefined && quote <= limits.perRequest) return pay(request, known, quote, prices)
    }

    const response = await fetch(request.url.href, request.init(request))
    const offer = response.status === 402 ? Wire.parseOffer(response.headers) : undefined
    if (!offer) return response
    await discard(response)
    const { target, provider, quote } = readOffer(request, response, offer)
    const prices = pricesOf(target.url.origin)
    prices.learn(target, quote)
    await prices.load()
    return pay(target, provider, quote, prices)
  }
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
