/** The paywall as Fastify hooks. */
import { Usdc } from '@drain/core'
import type { FastifyPluginCallback, FastifyRequest, preHandlerAsyncHookHandler } from 'fastify'
import { sendResponse } from './nodeAnswer.ts'
import { answerEndpoint, beginOnNode, type Known } from './nodePaid.ts'
import type { Payment } from './Payment.ts'
import type { Paywall } from './Paywall.ts'
import type { RequestQuote } from './StreamQuote.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Of routes with `preHandler: paid(…)`; on others there is none. */
    payment: Payment
  }
}

/**
 * Asks for payment before a route's handler runs, which finds it in `request.payment`. The whole price is charged when it
 * answers below 400, less when it reports a lower cost (`request.payment.charge(cost)`), nothing otherwise. The charge is
 * durable before the first byte of the answer leaves. Metered streams: `return send(reply, sse(request.payment, events))`.
 *
 * @param price USDC per request as a string, or a function that quotes a request in base units; it sees the parsed body.
 * @example
 * ```ts
 * app.get('/joke', { preHandler: paid(paywall, '0.001') }, async () => '…')
 * ```
 * @throws {InvalidAmountError}
 */
export function paid(
  paywall: Paywall,
  price: string | ((request: FastifyRequest) => RequestQuote | Promise<RequestQuote>),
): preHandlerAsyncHookHandler {
  const fixed = typeof price === 'string' ? Usdc.parse(price) : undefined
  return async (request, reply) => {
    const quote = fixed ?? (() => (price as Exclude<typeof price, string>)(request))
    const payment = await beginOnNode(paywall, request.raw, reply.raw, quote, knownOf(request))
    if (payment) request.payment = payment
    else reply.hijack() // answered
  }
}

/**
 * A plugin that answers the protocol's endpoints (`/v1/pricing`, `/v1/close-channel`, …) of the instance that registers it, and
 * passes every other request on.
 *
 * @example
 * ```ts
 * app.register(endpoints(paywall))
 * ```
 */
export function endpoints(paywall: Paywall): FastifyPluginCallback {
  const plugin: FastifyPluginCallback = (app, _options, done) => {
    app.addHook('onRequest', async (request, reply) => {
      // Before the body is parsed: what is read of it here, nobody else wants.
      if (await answerEndpoint(paywall, request.raw, reply.raw, knownOf(request))) reply.hijack()
    })
    done()
  }
  // The hook is for all routes of the instance, not for those of a scope of its own.
  return Object.assign(plugin, { [Symbol.for('skip-override')]: true })
}

/** Sends a web-standard response, such as `sse` makes, as the whole answer. */
export async function send(
  reply: { hijack(): unknown; raw: Parameters<typeof sendResponse>[0] },
  response: Response,
) {
  reply.hijack()
  await sendResponse(reply.raw, response)
}

function knownOf(request: FastifyRequest): Known {
  const { protocol, host, raw, body, ips, ip } = request
  return {
    target: { protocol, host, path: raw.url ?? '/' },
    parsed: body,
    // Fastify has `ips` only where it was told which proxies to trust.
    remoteAddress: ips ? ip : undefined,
  }
}
