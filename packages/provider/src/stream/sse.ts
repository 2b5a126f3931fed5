import type { Payment } from '../http/Payment.ts'
import { streamHeaders } from './frames.ts'
import { meterEvents } from './meterEvents.ts'

/** One event of a metered stream. */
export type MeteredEvent = {
  /** The event's data: JSON as a rule. */
  data: string
  event?: string
  /** What the request costs up to and including this event, in base units. Cumulative; omitted when it adds nothing. */
  cost?: bigint
}

/**
 * Answers with server-sent events, and charges each before it is sent. It pulls from `events` as the client reads, a little
 * ahead of it while a charge is being written.
 *
 * When the vouchers of the channel are used up, it sends `event: payment-need-voucher` with `{channelId, requiredCumulative,
 * acceptedCumulative, deposit}`, pauses, and goes on when `POST /v1/vouchers` has taken a better one. It ends early before an
 * event that would cost more than the quote or the deposit, when no voucher comes, when the channel closes, and when the
 * client goes away, unless it has paid for all and a retry can get it; then what was sent is charged.
 *
 * The end carries `event: payment-receipt` with `{channelId, cost, total, remaining, ended}` (base units; why it ended: see
 * `Ended`), the costs as comments, and `data: [DONE]`.
 *
 * @example
 * ```ts
 * paywall.handle(request, { most: 10_000n, first: 500n, step: 500n }, (payment) => sse(payment, events()))
 * ```
 */
export function sse(payment: Payment, events: AsyncIterable<MeteredEvent>): Response {
  const body = meterEvents(payment, events)
  payment.defer(body)
  return new Response(body, { headers: streamHeaders })
}
