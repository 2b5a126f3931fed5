import { type DrainError, PaymentRejectedError, PaymentUnknownError, Usdc } from '@drain/core'
import type { Book, Page } from './Book.ts'
import { unlessAborted } from './delay.ts'
import type { Events } from './events.ts'
import * as Limits from './Limits.ts'
import * as Origin from './Origin.ts'
import * as Payee from './Payee.ts'
import type { SchemeAnswer, SchemeOffer } from './PaymentScheme.ts'
import type { ReplayableRequest } from './ReplayableRequest.ts'
import { discard } from './readJson.ts'
import { passRedirect } from './redirects.ts'
import * as Spent from './Spent.ts'
import { createSender } from './sendSingly.ts'

export type SinglePayments = {
  fetch: typeof globalThis.fetch
  book: Book
  limits: Limits.Limits
  events: Events
  /** Unix milliseconds. */
  now: () => number
}

/** Pays an offer once, within the limits. */
export async function paySingly(
  { fetch, book, limits, events, now }: SinglePayments,
  request: ReplayableRequest,
  offer: SchemeOffer,
): Promise<Response> {
  const { origin, href: url } = request.url
  const { method } = request
  Origin.assertPayable(request.url)
  Limits.assertRequest(limits, offer.amount)
  Limits.assertAllowed(limits, origin, offer.payee)
  const amount = Usdc.format(offer.amount)
  const asked = { kind: 'request', origin, provider: offer.payee, method, url, amount, single: true } as const
  await unlessAborted(Limits.assertConfirmed(limits, asked), request.signal)
  await book.step((page) => {
    Limits.assertDay(limits, Spent.today(page, now()), offer.amount)
    Payee.promise(page, limits, origin, offer.amount, now())
    Spent.add(page, now(), { promised: offer.amount })
  })
  /** What isn't written of an answer stays counted as signed for nothing. */
  const tell = (write: (page: Page) => void) => book.step(write).catch(() => {})
  const sender = createSender({ fetch, now }, request, offer.expires)
  let answer: SchemeAnswer
  try {
    answer = await offer.pay(request, sender.send)
  } catch (error) {
    await tell((page) => (sender.isSent ? Payee.lose : Payee.release)(page, origin, offer.amount, now()))
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
  if (response.status === 402) {
    const refusal = await refused(response, origin)
    throw sender.isInDoubt ? new PaymentUnknownError(origin, sender.key, refusal) : refusal
  }
  const idempotencyKey = sender.key
  events.emit('paid', { channelId: undefined, origin, method, url, cost: Usdc.format(cost), idempotencyKey })
  return passRedirect(request, response)
}

async function refused(response: Response, origin: string): Promise<DrainError> {
  await discard(response)
  return new PaymentRejectedError(
    'payment_refused',
    `${origin} asks for a payment again after it was paid.`,
    'Nothing more was signed.',
  )
}
