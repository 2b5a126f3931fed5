/** A paid request, from its voucher to its answer. */
import type { Begin, RequestOptions } from './beginning.ts'
import { isPreflight, preflight } from './cors.ts'
import type { Payment } from './Payment.ts'
import { readAnswer } from './readAnswer.ts'
import { problem, refusal } from './responses.ts'
import type { RequestQuote } from './StreamQuote.ts'
import { withCosts } from './withCosts.ts'

/** Does the work of a paid request. */
export type PaidHandler = (payment: Payment) => Response | Promise<Response>

/** Serves a paid request. Never throws. */
export type Handle = (
  request: Request,
  quote: RequestQuote,
  work: PaidHandler,
  options?: RequestOptions,
) => Promise<Response>

export function createHandle(begin: Begin, maxAnswerBytes: number): Handle {
  async function handle(
    request: Request,
    quote: RequestQuote,
    work: PaidHandler,
    requestOptions?: RequestOptions,
  ): Promise<Response> {
    if (isPreflight(request)) return preflight()
    const beginning = await begin(request, quote, requestOptions)
    if (!beginning.ok) return beginning.response
    const { payment } = beginning
    let response: Response
    try {
      response = await work(payment)
    } catch {
      // A stream that was begun would wait for a reader.
      if (payment.isDeferred) payment.abort()
      response = problem(500, 'internal_error', 'The request failed and is not charged.', 'api_error')
    }
    try {
      return payment.isDeferred
        ? await withStream(request, response, payment)
        : await settled(response, payment)
    } catch {
      await response.body?.cancel().catch(() => {})
      return refusal({
        code: 'unavailable',
        message: 'The ledger is out of reach; the request is not charged.',
      })
    }
  }

  async function withStream(request: Request, response: Response, payment: Payment): Promise<Response> {
    // Nobody reads the body of an answer to HEAD, or ends it.
    if (request.method === 'HEAD') await response.body?.cancel()
    return withCosts(response, { channelId: payment.channelId })
  }

  /** Charges a whole answer, and keeps it in the same step when its request may be repeated. */
  async function settled(response: Response, payment: Payment): Promise<Response> {
    const succeeded = response.status < 400
    if (!payment.keepsAnswer || isUnmeteredStream(response)) {
      return withCosts(response, await payment.settle(succeeded))
    }
    const read = await readAnswer(response, maxAnswerBytes).catch(() => undefined)
    if (read) return withCosts(read.response, await payment.settle(succeeded, read.answer))
    // Its body failed before anything was sent.
    const failed = problem(500, 'internal_error', 'The request failed.', 'api_error')
    return withCosts(failed, await payment.settle(false))
  }

  return handle
}

/** Events that the handler sends by itself: keeping them would hold them back. */
function isUnmeteredStream({ headers }: Response): boolean {
  return headers.get('Content-Type')?.startsWith('text/event-stream') ?? false
}
