/** What the adapters for Node's servers share: a payment for a request, or the answer that refuses it. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { isPreflight, preflight } from './cors.ts'
import { mayBeEndpoint } from './endpointPaths.ts'
import { holdAnswer } from './holdAnswer.ts'
import { sendPlain, sendResponse } from './nodeAnswer.ts'
import { bodyOf, headOf, requestOf, type Target } from './nodeRequest.ts'
import type { Payment } from './Payment.ts'
import type { Paywall } from './Paywall.ts'
import { quoteBy } from './quoteBy.ts'
import type { RequestHead } from './RequestHead.ts'
import { problem } from './responses.ts'
import type { RequestQuote } from './StreamQuote.ts'

/** What an adapter knows of a request beyond Node's message. */
export type Known = {
  target?: Target | undefined
  /** The body, where a parser in front has read it. */
  parsed?: unknown
  /** The client's true address, where the framework was told which proxies to trust. */
  remoteAddress?: string | undefined
}

/** A quote that is the same for every request, or how to find it. May throw `InvalidRequestError`. */
export type Price = bigint | (() => RequestQuote | Promise<RequestQuote>)

/**
 * The payment of a request, with its answer held back until that is settled; or `undefined` when the request was answered:
 * refused, answered before, or a preflight.
 */
export async function beginOnNode(
  paywall: Paywall,
  req: IncomingMessage,
  res: ServerResponse,
  price: Price,
  { target, parsed, remoteAddress }: Known,
): Promise<Payment | undefined> {
  const head = headOf(req, target)
  if (!head) return answered(res, malformed())
  if (isPreflight(head)) return answered(res, preflight())
  const quote = typeof price === 'bigint' ? price : await quoteBy(price)
  if (quote instanceof Response) return answered(res, quote)
  const beginning = await paywall.begin(
    head,
    quote,
    bodyAndAddress(paywall, head, req, parsed, remoteAddress),
  )
  if (beginning.ok) {
    const { payment } = beginning
    if (!res.destroyed) {
      holdAnswer(res, payment)
      return payment
    }
    // The client left meanwhile: nobody is to work for it.
    await payment.settle(false).catch(() => {})
    return undefined
  }
  if (!beginning.plain) return answered(res, beginning.response)
  sendPlain(res, beginning.plain)
  return undefined
}

/** Answers the protocol's endpoints; `false` for every other request, which is left as it was. */
export async function answerEndpoint(
  paywall: Paywall,
  req: IncomingMessage,
  res: ServerResponse,
  { target, parsed, remoteAddress }: Known,
): Promise<boolean> {
  const head = headOf(req, target)
  if (head && !mayBeEndpoint(head)) return false
  const request = head && requestOf(head, req, parsed)
  const response = request ? await paywall.endpoints(request, { remoteAddress }) : malformed()
  if (!response) return false
  await sendResponse(res, response)
  return true
}

async function answered(res: ServerResponse, response: Response): Promise<undefined> {
  await sendResponse(res, response)
}

function bodyAndAddress(
  paywall: Paywall,
  head: RequestHead,
  req: IncomingMessage,
  parsed: unknown,
  remoteAddress: string | undefined,
) {
  const hasKey = head.headers.has('Idempotency-Key')
  const maxBytes = paywall.config.idempotency?.maxBodyBytes ?? 1_024 * 1_024
  return { remoteAddress, body: hasKey ? bodyOf(req, parsed, maxBytes) : undefined }
}

function malformed(): Response {
  return problem(400, 'invalid_request', 'The request line or a header is malformed.')
}
