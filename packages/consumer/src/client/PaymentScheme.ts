import { type DrainError, PaymentRejectedError, Usdc } from '@drain/core'
import type { Book } from './Book.ts'
import type { Events } from './events.ts'
import * as Limits from './Limits.ts'
import * as Origin from './Origin.ts'
import type { ReplayableRequest } from './ReplayableRequest.ts'
import { discard } from './readJson.ts'
import * as Spent from './Spent.ts'

/** Another way to pay than from a channel: a payment of its own for each request. Under the same limits. */
export type PaymentScheme = {
  name: string
  /** What a 402 asks for, or `undefined` where it makes no offer in this scheme. Looks at nothing but the response's head. */
  readOffer(response: Response, request: ReplayableRequest): SchemeOffer | undefined
}

export type SchemeOffer = {
  /** Base units of USDC: the most that the payment can take. */
  amount: bigint
  /** Who gets it: an address, or another name that the scheme vouches for. */
  payee: string
  /** Sends the request with its payment, once. Called after the limits allow it, and it is written down. */
  pay(request: ReplayableRequest, fetch: typeof globalThis.fetch): Promise<SchemeAnswer>
}

export type SchemeAnswer = {
  response: Response
  /** Base units that were taken, as far as the answer proves it; the whole amount where it says nothing. */
  cost?: bigint | undefined
}

/** Pays a 402 by the first scheme that it makes an offer in; `undefined` when there is none. */
export type SchemePayer = (
  schemes: readonly PaymentScheme[],
  request: ReplayableRequest,
  response: Response,
) => Promise<Response | undefined>

export function createSchemePayer(options: {
  fetch: typeof globalThis.fetch
  book: Book
  limits: Limits.Limits
  events: Events
  /** Unix milliseconds. */
  now: () => number
}): SchemePayer {
  const { fetch, book, limits, events, now } = options

  async function pay(request: ReplayableRequest, offer: SchemeOffer): Promise<Response> {
    const { origin, href: url } = request.url
    const { method } = request
    Origin.assertPayable(request.url)
    Limits.assertRequest(limits, offer.amount)
    Limits.assertAllowed(limits, origin, offer.payee)
    const amount = Usdc.format(offer.amount)
    await Limits.assertConfirmed(limits, {
      kind: 'request',
      origin,
      provider: offer.payee,
      method,
      url,
      amount,
    })
    await book.step((page) => {
      Limits.assertDay(limits, Spent.today(page, now()), offer.amount)
      Spent.add(page, now(), { promised: offer.amount })
    })
    const { response, cost = offer.amount } = await offer.pay(request, fetch)
    // A second 402 is not paid: one price, one payment.
    if (response.status === 402) throw await refused(response, origin)
    await book.step((page) => Spent.add(page, now(), { charged: cost }))
    events.emit('paid', { channelId: undefined, origin, method, url, cost: Usdc.format(cost) })
    return response
  }

  return async (schemes, request, response) => {
    for (const scheme of schemes) {
      const offer = scheme.readOffer(response, request)
      if (!offer) continue
      await discard(response)
      return pay(request, offer)
    }
    return undefined
  }
}

async function refused(response: Response, origin: string): Promise<DrainError> {
  await discard(response)
  return new PaymentRejectedError(
    'payment_refused',
    `${origin} asks for a payment again after it was paid.`,
    'Nothing more was signed.',
  )
}
