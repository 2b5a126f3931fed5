/** What a metered stream sends besides its events (https://html.spec.whatwg.org/multipage/server-sent-events.html). */
import { Usdc, type Headers as Wire } from '@drain/core'
import type { Hex } from 'viem'

/**
 * Why a stream ended, as its receipt tells:
 * - `complete`: its events came to an end;
 * - `quote`: the next event would cost more than the request was quoted;
 * - `voucher`: no voucher for the next event came in time;
 * - `deposit`: the next event would cost more than the channel holds;
 * - `closed`: the channel closes, or the provider stops;
 * - `failed`: what makes the events failed;
 * - `left`: the client went away.
 */
export type Ended = 'complete' | 'quote' | 'voucher' | 'deposit' | 'closed' | 'failed' | 'left'

/** Says that the stream goes on once the consumer has signed for `requiredCumulative`. Base units. */
export type VoucherNeed = {
  channelId: Hex
  /** Charged, reserved and waited for on the channel, in all. */
  requiredCumulative: bigint
  /** What the channel's best voucher covers. */
  acceptedCumulative: bigint
  deposit: bigint
}

/** Headers of a metered stream; nobody on the way may hold it back or change it. */
export const streamHeaders = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'private, no-transform',
  'X-Accel-Buffering': 'no',
} as const

/** A comment, which readers skip: keeps proxies from cutting a stream that is silent. */
export const keepAlive = ': keep-alive\n\n'

/** One event. Data of several lines stays one event; a name can't bring lines of its own. */
export function eventFrame(data: string, event?: string): string {
  const name = event ? `event: ${event.replace(/[\r\n]/g, ' ')}\n` : ''
  if (!/[\r\n]/.test(data)) return `${name}data: ${data}\n\n`
  return `${name}data: ${data.split(/\r\n|\r|\n/).join('\ndata: ')}\n\n`
}

/** `message` is for people and never the text of an exception. */
export function errorFrame(code: string, message: string): string {
  return eventFrame(JSON.stringify({ error: { message, type: 'api_error', code } }))
}

export function needVoucherFrame(need: VoucherNeed): string {
  const { channelId, requiredCumulative, acceptedCumulative, deposit } = need
  const data = JSON.stringify({
    channelId,
    requiredCumulative: requiredCumulative.toString(),
    acceptedCumulative: acceptedCumulative.toString(),
    deposit: deposit.toString(),
  })
  return eventFrame(data, 'payment-need-voucher')
}

/**
 * The end of a stream that was charged: its receipt, the costs as comments, `[DONE]`.
 * @param more What the payment's scheme puts into the receipt.
 */
export function endFrames(costs: Wire.Costs, ended: Ended, more?: Readonly<Record<string, unknown>>): string {
  const { channelId, cost, total, remaining } = costs
  const receipt = JSON.stringify({
    channelId,
    cost: cost.toString(),
    total: total.toString(),
    remaining: remaining.toString(),
    display: Usdc.display(cost),
    ended,
    ...more,
  })
  const comments = `: X-DRAIN-Cost: ${cost}\n: X-DRAIN-Total: ${total}\n: X-DRAIN-Remaining: ${remaining}\n\n`
  return `${eventFrame(receipt, 'payment-receipt')}${comments}${doneFrame}`
}

export const doneFrame = 'data: [DONE]\n\n'
