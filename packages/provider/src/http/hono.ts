/** The paywall as Hono middleware. */
import { Usdc } from '@drain/core'
import type { MiddlewareHandler } from 'hono'
import type { Payment } from './Payment.ts'
import type { Paywall } from './Paywall.ts'
import { quoteBy } from './quoteBy.ts'
import type { RequestQuote } from './StreamQuote.ts'

/** What paid handlers find in the context: `c.get('payment')`. */
export type PaidVariables = { payment: Payment }

/**
 * Asks for payment before the handlers behind it run. The whole price is charged when they succeed, less when they report
 * a lower cost (`c.get('payment').charge(cost)`), nothing when they fail. Metered streams: `sse(c.get('payment'), events)`.
 *
 * @param price USDC per request as a string, or a function that quotes a request in base units.
 * @example
 * ```ts
 * app.get('/joke', paid(paywall, '0.001'), (c) => c.text('…'))
 * ```
 * @throws {InvalidAmountError}
 */
export function paid(
  paywall: Paywall,
  price: string | ((request: Request) => RequestQuote | Promise<RequestQuote>),
): MiddlewareHandler<{ Variables: PaidVariables }> {
  const fixed = typeof price === 'string' ? Usdc.parse(price) : undefined
  return async (context, next) => {
    const request = context.req.raw
    const quote = fixed ?? (await quoteBy(() => (price as Exclude<typeof price, string>)(request)))
    if (quote instanceof Response) return quote
    const response = await paywall.handle(
      request,
      quote,
      async (payment) => {
        context.set('payment', payment)
        await next()
        return context.res
      },
      // Hono remembers a body that somebody in front has read.
      request.bodyUsed ? { body: async () => new Uint8Array(await context.req.arrayBuffer()) } : {},
    )
    context.res = undefined
    context.res = response
  }
}

/** Answers the protocol's endpoints (`/v1/pricing`, `/v1/close-channel`, …) and passes every other request on. */
export function endpoints(paywall: Paywall): MiddlewareHandler {
  return async (context, next) => {
    const response = await paywall.endpoints(context.req.raw)
    if (response) return response
    await next()
  }
}
