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
import type { SchemeOffer, SchemePayer } from './PaymentScheme.ts'
import { type PriceList, whole } from './PriceList.ts'
import type { Pay } from './pay.ts'
import { type ReplayableRequest, replayable } from './ReplayableRequest.ts'
import { discard } from './readJson.ts'
import { keepsMethod, sendUnpaid } from './sendUnpaid.ts'
import type { Wallet } from './Wallet.ts'
import type { Wire as ChannelWire, WireOffer } from './Wire.ts'

/** How to pay where a 402 offers a channel and a payment per request. */
export type Preference = {
  prefer: 'auto' | 'channel' | 'charge'
  /** What opening a channel costs the wallet, in base units of USDC. */
  openingCost: bigint
}

/** How many requests an origin is expected to get at least, when a channel's cost is weighed. */
const expectedRequests = 20

/** Pays where there is a way to, for a request and the 402 that it got. */
type PayFor = (
  request: ReplayableRequest,
  response: Response,
  by: {
    wires: readonly ChannelWire[]
    fetch?: typeof globalThis.fetch
    /** What got the 402, where redirects were followed. */
    last?: ReplayableRequest
  },
) => Promise<Response>

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
  schemes: SchemePayer
  /** In the order in which they are asked. */
  wires: readonly ChannelWire[]
  preference: Preference
  events: Events
  /** Where prices are kept, by origin; shared with who opens channels by hand. */
  pricesOf: (origin: string) => PriceList
}): { fetch: typeof globalThis.fetch; payFor: PayFor } {
  const { fetch, wallet, book, limits, pay, schemes, wires, preference, events, pricesOf } = options
  const { deployment } = wallet

  /** What a channel offer wants, if this client may give it. */
  function assertOffer(target: ReplayableRequest, offer: WireOffer) {
    const { origin } = target.url
    Origin.assertPayable(target.url)
    Origin.assertOffer(offer, { origin, deployment, provider: book.providerOf(origin) })
    const { quote } = offer
    if (quote === undefined) {
      const advice = 'See its /v1/docs.'
      throw new PaymentRejectedError(
        'voucher_required',
        `${origin} asks for a payment and names no price.`,
        advice,
      )
    }
    Limits.assertRequest(limits, quote)
    Limits.assertAllowed(limits, origin, offer.provider)
    return { provider: plainAddress(offer.provider), quote }
  }

  /** The first wire's offer. One that can't be taken stands back behind one that can. */
  function findOffer(
    among: readonly ChannelWire[],
    response: Response,
    target: ReplayableRequest,
  ): { wire: ChannelWire; offer: WireOffer } | { error: unknown } | undefined {
    let failure: { error: unknown } | undefined
    for (const wire of among) {
      try {
        const offer = wire.readOffer(response, target, deployment)
        if (offer) return { wire, offer }
      } catch (error) {
        failure ??= { error }
      }
    }
    return failure
  }

  /**
   * A channel, unless a payment per request is offered too and opening one would cost more than what twenty such requests, or
   * as many as there were so far, pay; and more than what they save.
   */
  function isWorthChannel(origin: string, quote: bigint, { amount }: SchemeOffer): boolean {
    const { prefer, openingCost } = preference
    if (prefer !== 'auto') return prefer === 'channel'
    if (amount > limits.perRequest || book.usable(origin, quote).length > 0) return true
    const count = BigInt(Math.max(expectedRequests, schemes.paidTo(origin)))
    return quote * count >= openingCost || (amount - quote) * count >= openingCost
  }

  const payFor: PayFor = async (request, response, by) => {
    const target = landedOn(request, response, by.last)
    const found = findOffer(by.wires, response, target)
    // Who sends by other means takes channels from here, and nothing else.
    const single = by.fetch ? undefined : schemes.find(response, target)
    const channel = found && 'offer' in found ? found : undefined
    const channelQuote = channel?.offer.quote
    if (single && !(channelQuote !== undefined && isWorthChannel(target.url.origin, channelQuote, single))) {
      await discard(response)
      return schemes.pay(target, single)
    }
    if (found && 'error' in found) {
      await discard(response)
      throw found.error
    }
    if (!channel) return response
    await discard(response)
    const { provider, quote } = assertOffer(target, channel.offer)
    const prices = pricesOf(target.url.origin)
    prices.learn(target, quote)
    await prices.load()
    // The list may know that less is enough to begin a stream.
    const listed = prices.price(target)
    const price = listed?.most === quote ? listed : whole(quote)
    return pay(target, provider, price, prices, channel.wire, by.fetch)
  }

  async function answer(request: ReplayableRequest): Promise<Response> {
    const { origin } = request.url
    // Another process may have opened a channel here.
    if (!book.providerOf(origin)) await book.refresh()
    const known = preference.prefer === 'charge' ? undefined : book.providerOf(origin)
    const wire = known && wires.find(({ name }) => name === book.wireOf(origin))
    if (known && wire) {
      const prices = pricesOf(origin)
      await prices.load()
      const price = prices.price(request)
      // A price above the limit may be an old one: its 402 says what it is now.
      if (price && price.most <= limits.perRequest && wire.isReady(request)) {
        return pay(request, known, price, prices, wire)
      }
    }
    const { response, last } = await sendUnpaid(fetch, request)
    return response.status === 402 ? payFor(request, response, { wires, last }) : response
  }

  async function tellingRefusals(
    { origin, href: url }: URL,
    task: () => Promise<Response>,
  ): Promise<Response> {
    try {
      return await task()
    } catch (error) {
      if (isRefusal(error)) events.emit('refused', { origin, url, error })
      throw error
    }
  }

  return {
    async fetch(input, init) {
      const request = await replayable(input, init)
      // Whoever pays by hand doesn't want to pay twice.
      if (carriesPayment(request)) return fetch(request.url.href, request.init(request))
      return tellingRefusals(request.url, () => answer(request))
    },
    payFor: (request, response, by) => tellingRefusals(request.url, () => payFor(request, response, by)),
  }
}

function isRefusal(error: unknown): boolean {
  return [LimitExceededError, PaymentRejectedError, UntrustedProviderError].some(
    (one) => error instanceof one,
  )
}

/** A voucher, or a credential of the `Payment` scheme, in either of its headers. */
function carriesPayment({ headers }: ReplayableRequest): boolean {
  return (
    [...Wire.names.voucher, 'Payment-Authorization'].some((name) => headers.has(name)) ||
    /(?:^|,)\s*payment(?:\s|$)/i.test(headers.get('Authorization') ?? '')
  )
}

/** Headers needn't have the checksum of mixed-case addresses right. */
function plainAddress(address: Address): Address {
  return getAddress(address.toLowerCase())
}

/** A 402 that came after redirects counts for where it came from, if that is the same origin. */
function landedOn(
  request: ReplayableRequest,
  response: Response,
  last: ReplayableRequest = request,
): ReplayableRequest {
  if (!response.redirected || !response.url) return request
  const url = new URL(response.url)
  const advice = 'Call that address directly, if you trust it.'
  if (url.origin !== request.url.origin) {
    throw new UntrustedProviderError(
      `${request.url.origin} redirects to ${url.origin}, which asks for a payment.`,
      advice,
    )
  }
  if (last !== request || keepsMethod(request)) return { ...last, url }
  throw new UntrustedProviderError(
    `${request.url.href} redirects a ${request.method} to ${url.href}, which asks for a payment; whether with its body, is not to be seen here.`,
    advice,
  )
}
