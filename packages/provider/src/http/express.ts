/** The paywall as Express middleware. */
import { Usdc } from '@drain/core'
import type { Request as ExpressRequest, RequestHandler } from 'express'
import { answerEndpoint, beginOnNode, type Known } from './nodePaid.ts'
import type { Paywall } from './Paywall.ts'
import type { RequestQuote } from './StreamQuote.ts'

export { sendResponse as send } from './nodeAnswer.ts'

/**
 * Asks for payment before the handlers behind it run; they find it in `res.locals.payment`. The whole price is charged
 * when they answer below 400, less when they report a lower cost (`res.locals.payment.charge(cost)`), nothing otherwise.
 * The charge is durable before the first byte of the answer leaves. Metered streams: `send(res, sse(payment, events))`.
 *
 * @param price USDC per request as a string, or a function that quotes a request in base units.
 * @example
 * ```ts
 * app.get('/joke', paid(paywall, '0.001'), (req, res) => res.send('…'))
 * ```
 * @throws {InvalidAmountError}
 */
export function paid(
  paywall: Paywall,
  price: string | ((request: ExpressRequest) => RequestQuote | Promise<RequestQuote>),
): RequestHandler {
  const fixed = typeof price === 'string' ? Usdc.parse(price) : undefined
  return async (req, res, next) => {
    const quote = fixed ?? (() => (price as Exclude<typeof price, string>)(req))
    const payment = await beginOnNode(paywall, req, res, quote, knownOf(req))
    if (!payment) return
    res.locals.payment = payment
    next()
  }
}

/** Answers the protocol's endpoints (`/v1/pricing`, `/v1/close-channel`, …) and passes every other request on. */
export function endpoints(paywall: Paywall): RequestHandler {
  return async (req, res, next) => {
    if (!(await answerEndpoint(paywall, req, res, knownOf(req)))) next()
  }
}

function knownOf(req: ExpressRequest): Known {
  return {
    target: { protocol: req.protocol, host: req.host, path: req.originalUrl },
    parsed: req.body,
    remoteAddress: req.app.get('trust proxy') ? req.ip : undefined,
  }
}
