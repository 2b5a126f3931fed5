import { type DrainError, PaymentRejectedError, Usdc } from '@drain/core'
import type { Book, Page } from './Book.ts'
import { unlessAborted } from './delay.ts'
import type { Events } from './events.ts'
import * as Limits from './Limits.ts'
import * as Origin from './Origin.ts'
import * as Payee from './Payee.ts'
import type { ReplayableRequest } from './ReplayableRequest.ts'
import { discard } from './readJson.ts'
import { passRedirect } from './redirects.ts'
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
  /** Base units that were taken, as far as the answer proves it; the whole amount where it says nothing, or more. */
  cost?: bigint | undefined
}

/** Finds what a 402 offers beside channels, and pays it. */
export type SchemePayer = {
  /** The first scheme's offer, in the caller's order; `undefined` when there is none. */
  find(response: Response, request: ReplayableRequest): SchemeOffer | undefined
  /** How many requests to an origin were paid so. */
  paidTo(origin: string): number
  /** Pays once, within the limits. */
  pay(request: ReplayableRequest, offer: SchemeOffer): Promise<Response>
}

export function createSchemePayer(options: {
  schemes: readonly PaymentScheme[]
  fetch: typeof globalThis.fetch
  book: Book
  limits: Limits.Limits
  events: Events
  /** Unix milliseconds. */
  now: () => number
}): SchemePayer {
  const { schemes, fetch, book, limits, events, now } = options
  const paid = new Map<string, number>()

  async function pay(request: ReplayableRequest, offer: SchemeOffer): Promise<Response> {
    const { origin, href: url } = request.url
    const { method } = request
    Origin.assertPayable(request.url)
    Limits.assertRequest(limits, offer.amount)
    Limits.assertAllowed(limits, origin, offer.payee)
    const amount = Usdc.format(offer.amount)
    const asked = { kind: 'request', origin, provider: offer.payee, method, url, amount } as const
    await unlessAborted(Limits.assertConfirmed(limits, asked), request.signal)
    await book.step((page) => {
      Limits.assertDay(limits, Spent.today(page, now()), offer.amount)
      Payee.promise(page, limits, origin, offer.amount, now())
      Spent.add(page, now(), { promised: offer.amount })
    })
    /** What isn't written of an answer stays counted as signed for nothing. */
    const tell = (write: (page: Page) => void) => book.step(write).catch(() => {})
    let isSent = false
    /** Never past a redirect: it would carry the payment along. */
    const sendOnce: typeof globalThis.fetch = (input, init) => {
      isSent = true
      return fetch(input, { ...init, redirect: 'manual' })
    }
    let answer: SchemeAnswer
    try {
      answer = await offer.pay(request, sendOnce)
    } catch (error) {
      await tell((page) => (isSent ? Payee.lose : Payee.release)(page, origin, offer.amount, now()))
      throw error
    }
    const { response } = answer
    const cost = answer.cost !== undefined && answer.cost < offer.amount ? answer.cost : offer.amount
    await tell((page) => {
      if (response.ok) Payee.settle(page, origin, { amount: offer.amount, cost }, now())
      else Payee.lose(page, origin, offer.amount, now())
      if (response.status !== 402) Spent.add(page, now(), { charged: cost })
    })
    // A second 402 is not paid: one price, one payment.
    if (response.status === 402) throw await refused(response, origin)
    paid.set(origin, (paid.get(origin) ?? 0) + 1)
    events.emit('paid', { channelId: undefined, origin, method, url, cost: Usdc.format(cost) })
    return passRedirect(request, response)
  }

  return {
    find(response, request) {
      for (const scheme of schemes) {
        const offer = scheme.readOffer(response, request)
        if (offer) return offer
      }
      return undefined
    },
    paidTo: (origin) => paid.get(origin) ?? 0,
    pay,
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
