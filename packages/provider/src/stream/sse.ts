import { Usdc } from '@drain/core'
import type { Payment } from '../http/Payment.ts'

/** One event of a metered stream. */
export type MeteredEvent = {
  /** The event's data, one line: JSON as a rule. */
  data: string
  event?: string
  /** What the request costs up to and including this event, in base units. Cumulative; omitted when it adds nothing. */
  cost?: bigint
}

const encoder = new TextEncoder()

/**
 * Answers with server-sent events and charges what is sent: the stream ends before an event that would cost more than
 * the quote, when the channel closes, or when the client goes away, and then just the events sent are charged. It pulls
 * from `events` only as fast as the client reads.
 *
 * The end carries `event: payment-receipt` with `{channelId, cost, total, remaining}` (base units), the costs as
 * comments, and `data: [DONE]`.
 */
export function sse(payment: Payment, events: AsyncIterable<MeteredEvent>): Response {
  payment.defer()
  const iterator = events[Symbol.asyncIterator]()
  let metered = payment.reported

  async function* frames(): AsyncGenerator<string> {
    try {
      while (!payment.signal.aborted) {
        const next = await nextOrAborted(iterator, payment.signal)
        if (next.done) break
        const { data, event, cost = metered } = next.value
        if (cost > payment.quote) break
        metered = cost > metered ? cost : metered
        yield `${event ? `event: ${event}\n` : ''}data: ${data}\n\n`
      }
    } catch {
      yield `data: ${JSON.stringify({ error: { message: 'The upstream failed.', type: 'api_error', code: 'upstream_failed' } })}\n\n`
    }
    iterator.return?.().catch(() => {})
    const costs = await settleNow()
    const receipt = JSON.stringify({
      channelId: costs.channelId,
      cost: costs.cost.toString(),
      total: costs.total.toString(),
      remaining: costs.remaining.toString(),
      display: Usdc.display(costs.cost),
    })
    yield `event: payment-receipt\ndata: ${receipt}\n\n`
    yield `: X-DRAIN-Cost: ${costs.cost}\n: X-DRAIN-Total: ${costs.total}\n: X-DRAIN-Remaining: ${costs.remaining}\n\n`
    yield 'data: [DONE]\n\n'
  }

  // Settled even when the client has stopped reading, so that an unread stream cannot hold up a close.
  const settleNow = () => {
    payment.charge(metered)
    return payment.settle(true)
  }
  payment.signal.addEventListener('abort', () => void settleNow().catch(() => {}), { once: true })

  const running = frames()
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await running.next()
      if (done) controller.close()
      else controller.enqueue(encoder.encode(value))
    },
    async cancel() {
      const settled = settleNow()
      payment.abort()
      iterator.return?.().catch(() => {})
      await settled
    },
  })
  return new Response(body, {
    headers: { 'Content-Type': 'text/event-stream; charset=utf-8', 'X-Accel-Buffering': 'no' },
  })
}

/** The next event, or the end as soon as the channel closes. */
async function nextOrAborted<event>(
  iterator: AsyncIterator<event>,
  signal: AbortSignal,
): Promise<IteratorResult<event, unknown>> {
  let stop: (() => void) | undefined
  const aborted = new Promise<IteratorResult<event, unknown>>((resolve) => {
    stop = () => resolve({ done: true, value: undefined })
    signal.addEventListener('abort', stop, { once: true })
  })
  try {
    return await Promise.race([iterator.next(), aborted])
  } finally {
    if (stop) signal.removeEventListener('abort', stop)
  }
}
