/** A paid request, from its voucher to its answer. */
import type { Begin, RequestOptions } from './beginning.ts'
import { isPreflight, preflight } from './cors.ts'
import { refuseUnsettled } from './failures.ts'
import type { Payment } from './Payment.ts'
import { toResponse } from './PlainAnswer.ts'
import { readAnswer } from './readAnswer.ts'
import { problem } from './responses.ts'
import type { RequestQuote } from './StreamQuote.ts'
import { sendable, withCosts } from './withCosts.ts'

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
      response = sendable(await work(payment))
    } catch {
      response = failed()
    }
    try {
      if (!payment.isDeferred) return await settled(response, payment)
      if (isDeferredTo(payment, response)) return await withStream(request, response, payment)
      // A stream that was begun and isn't the answer would wait for a reader.
      payment.abort()
      return withCosts(response, payment, await payment.settled)
    } catch (error) {
      await response.body?.cancel().catch(() => {})
      return toResponse(refuseUnsettled(error, payment))
    }
  }

  async function withStream(request: Request, response: Response, payment: Payment): Promise<Response> {
    // Nobody reads the body of an answer to HEAD, or ends it.
    if (request.method === 'HEAD') await response.body?.cancel()
    return withCosts(response, payment)
  }

  /** Charges a whole answer, and keeps it in the same step when its request may be repeated. */
  async function settled(response: Response, payment: Payment): Promise<Response> {
    const succeeded = response.status < 400
    if (!payment.keepsAnswer || isUnmeteredStream(response)) {
      return withCosts(response, payment, await payment.settle(succeeded))
    }
    const read = await readAnswer(response, maxAnswerBytes).catch(() => undefined)
    if (read) return withCosts(sendable(read.response), payment, await payment.settle(succeeded, read.answer))
    // Its body failed before anything was sent.
    return withCosts(failed(), payment, await payment.settle(false))
  }

  return handle
}

function failed(): Response {
  return problem(500, 'internal_error', 'The request failed.', 'api_error')
}

/** Whether a response is the stream that settles its payment, or somebody on the way reads that. */
function isDeferredTo({ deferredTo }: Payment, response: Response): boolean {
  return deferredTo === undefined || deferredTo.locked || deferredTo === response.body
}

/** Events that the handler sends by itself: keeping them would hold them back. */
function isUnmeteredStream({ headers }: Response): boolean {
  return headers.get('Content-Type')?.startsWith('text/event-stream') ?? false
}
