/** The paywall as Express middleware. */
import { Usdc, Headers as Wire } from '@drain/core'
import type { Request as ExpressRequest, Response as ExpressResponse, RequestHandler } from 'express'
import { allowOrigin, isPreflight, preflight } from './cors.ts'
import type { Payment } from './Payment.ts'
import type { Paywall } from './Paywall.ts'
import { quoteBy } from './quoteBy.ts'
import { problem, refusal } from './responses.ts'

/**
 * Asks for payment before the handlers behind it run; they find it in `res.locals.payment`. The whole price is charged
 * when they answer below 400, less when they report a lower cost (`res.locals.payment.charge(cost)`), nothing otherwise.
 * The charge is durable before the first byte of the answer leaves.
 *
 * @param price USDC per request as a string, or a function that quotes a request in base units.
 * @example
 * ```ts
 * app.get('/joke', paid(paywall, '0.001'), (req, res) => res.send('…'))
 * ```
 */
export function paid(
  paywall: Paywall,
  price: string | ((request: ExpressRequest) => bigint | Promise<bigint>),
): RequestHandler {
  const fixed = typeof price === 'string' ? Usdc.parse(price) : undefined
  return async (req, res, next) => {
    const request = toRequest(req, false)
    if (!request)
      return send(problem(400, 'invalid_request', 'The request line or a header is malformed.'), res)
    if (isPreflight(request)) return send(preflight(), res)
    const quote =
      fixed ?? (await quoteBy(() => (price as (request: ExpressRequest) => bigint | Promise<bigint>)(req)))
    if (quote instanceof Response) return send(quote, res)
    const beginning = await paywall.begin(request, quote)
    if (!beginning.ok) return send(beginning.response, res)
    res.locals.payment = beginning.payment
    settleBeforeSending(res, beginning.payment)
    next()
  }
}

/** Answers the protocol's endpoints (`/v1/pricing`, `/v1/close-channel`, …) and passes every other request on. */
export function endpoints(paywall: Paywall): RequestHandler {
  return async (req, res, next) => {
    const request = toRequest(req, true)
    if (!request)
      return send(problem(400, 'invalid_request', 'The request line or a header is malformed.'), res)
    const response = await paywall.endpoints(request)
    if (response) return send(response, res)
    next()
  }
}

/**
 * Holds back what handlers write until the payment is settled, then adds the cost headers and lets it through. Nothing
 * paid leaves before it is charged; a charge that fails turns the answer into a 503.
 */
function settleBeforeSending(res: ExpressResponse, payment: Payment): void {
  const held: (() => void)[] = []
  const original = {
    writeHead: res.writeHead,
    write: res.write,
    end: res.end,
    flushHeaders: res.flushHeaders,
  }
  const restore = () => Object.assign(res, original)
  res.once('close', () => payment.abandon())
  let isHolding = false

  function hold(call: () => void, status = res.statusCode): void {
    held.push(call)
    if (isHolding) return
    isHolding = true
    payment
      .settle(status < 400)
      .then(
        (costs) => letThrough(costs),
        () => {
          restore()
          for (const name of res.getHeaderNames()) res.removeHeader(name)
          const message = 'The ledger is out of reach; the request is not charged.'
          return send(refusal({ code: 'unavailable', message }), res)
        },
      )
      // What the handler wrote cannot be sent, such as a header with a line break: Node said so only now.
      .catch(() => res.destroy())
  }

  function letThrough(costs: Wire.Costs): void {
    restore()
    const headers = new Headers()
    Wire.writeCosts(headers, costs)
    allowOrigin(headers)
    if (!res.hasHeader('Cache-Control')) headers.set('Cache-Control', 'private')
    for (const [name, value] of headers) if (!res.headersSent) res.setHeader(name, value)
    for (const replay of held) replay()
    res.emit('drain')
  }

  type Loose = (...args: unknown[]) => unknown
  const replay = (method: Loose, args: unknown[]) => () => void method.apply(res, args)
  Object.assign(res, {
    writeHead(...args: unknown[]) {
      hold(replay(original.writeHead as Loose, args), args[0] as number)
      return res
    },
    write(...args: unknown[]) {
      hold(replay(original.write as Loose, args))
      return false
    },
    end(...args: unknown[]) {
      hold(replay(original.end as Loose, args))
      return res
    },
    flushHeaders() {
      hold(replay(original.flushHeaders as Loose, []))
    },
  })
}

/** A web-standard request of what Express received, or `undefined` where it has no such form. */
function toRequest(req: ExpressRequest, withBody: boolean): Request | undefined {
  try {
    const headers = new Headers()
    for (const [name, value] of Object.entries(req.headersDistinct)) {
      for (const one of value ?? []) headers.append(name, one)
    }
    const url = new URL(req.originalUrl, `${req.protocol}://${req.host || 'localhost'}`)
    const hasBody = withBody && req.method !== 'GET' && req.method !== 'HEAD'
    if (!hasBody) return new Request(url, { method: req.method, headers })
    // A body parser in front has read the stream already.
    if (req.body !== undefined) {
      const body =
        typeof req.body === 'string' || req.body instanceof Uint8Array ? req.body : JSON.stringify(req.body)
      headers.delete('Content-Length')
      return new Request(url, { method: req.method, headers, body: body as BodyInit })
    }
    return new Request(url, {
      method: req.method,
      headers,
      body: untouchedBody(req),
      duplex: 'half',
    } as RequestInit)
  } catch {
    return undefined
  }
}

/** The body as a stream that reads nothing until it is read, so that parsers behind this middleware still find it. */
function untouchedBody(req: ExpressRequest): ReadableStream<Uint8Array> {
  let chunks: AsyncIterator<Uint8Array> | undefined
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        chunks ??= req[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
        const { done, value } = await chunks.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
    },
    { highWaterMark: 0 },
  )
}

async function send(response: Response, res: ExpressResponse): Promise<void> {
  res.status(response.status)
  for (const [name, value] of response.headers) res.setHeader(name, value)
  res.end(Buffer.from(await response.arrayBuffer()))
}
