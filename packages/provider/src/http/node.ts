/** The paywall on plain `node:http`, and a server that ends well. */
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { Usdc } from '@drain/core'
import { sendResponse } from './nodeAnswer.ts'
import { answerEndpoint, beginOnNode } from './nodePaid.ts'
import type { Payment } from './Payment.ts'
import type { Paywall } from './Paywall.ts'
import { problem } from './responses.ts'
import type { RequestQuote } from './StreamQuote.ts'

export { sendResponse as send } from './nodeAnswer.ts'

/** A request listener behind the paywall. */
export type PaidListener = (req: IncomingMessage, res: ServerResponse, payment: Payment) => unknown

/**
 * A request listener that asks for payment before `work` runs. The whole price is charged when it answers below 400, less
 * when it reports a lower cost (`payment.charge(cost)`), nothing otherwise. The charge is durable before the first byte of the
 * answer leaves. Metered streams: `send(res, sse(payment, events))`.
 *
 * @param price USDC per request as a string, or a function that quotes a request in base units.
 * @example
 * ```ts
 * createServer(endpoints(paywall, paid(paywall, '0.001', (req, res) => res.end('…')))).listen(3000)
 * ```
 * @throws {InvalidAmountError}
 */
export function paid(
  paywall: Paywall,
  price: string | ((request: IncomingMessage) => RequestQuote | Promise<RequestQuote>),
  work: PaidListener,
): RequestListener {
  const fixed = typeof price === 'string' ? Usdc.parse(price) : undefined
  return (req, res) => {
    const quote = fixed ?? (() => (price as Exclude<typeof price, string>)(req))
    void guarded(res, async () => {
      const payment = await beginOnNode(paywall, req, res, quote, {})
      if (payment) await work(req, res, payment)
    })
  }
}

/** A request listener that answers the protocol's endpoints (`/v1/pricing`, …) and hands every other request to `next`. */
export function endpoints(paywall: Paywall, next: RequestListener = nothingHere): RequestListener {
  return (req, res) => {
    void guarded(res, async () => {
      if (!(await answerEndpoint(paywall, req, res, {}))) await next(req, res)
    })
  }
}

/** A server that listens. */
export type RunningServer = {
  /** Such as `http://127.0.0.1:3000`. */
  url: string
  server: Server
  /**
   * Takes no more requests, lets those that run end within the paywall's grace, and closes the paywall. Later calls get the
   * first one's result.
   */
  close(): Promise<void>
}

/**
 * Serves a listener together with the protocol's endpoints, once the paywall is ready; and ends with everything charged and
 * stored when the process is told to (SIGTERM, SIGINT).
 *
 * @param options `signals: false` leaves the signals to the caller.
 * @throws What `paywall.ready()` or the port's opening throws; the paywall is closed then.
 */
export async function serve(
  paywall: Paywall,
  listener: RequestListener,
  options: { port?: number; host?: string; signals?: boolean } = {},
): Promise<RunningServer> {
  const { port = 3000, host = '127.0.0.1', signals = true } = options
  const server = createServer(endpoints(paywall, listener))
  try {
    await paywall.ready()
    await listening(server, port, host)
  } catch (error) {
    await paywall.close()
    throw error
  }
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= shutDown(server, paywall).finally(() => {
      for (const signal of endings) process.off(signal, onSignal)
    })
    return closing
  }
  const onSignal = () => void close()
  if (signals) for (const signal of endings) process.on(signal, onSignal)
  return { url: `http://${urlHost(host)}:${(server.address() as AddressInfo).port}`, server, close }
}

const endings = ['SIGTERM', 'SIGINT'] as const

/** The answers that run end first, then their connections, then the ledger's store. */
async function shutDown(server: Server, paywall: Paywall): Promise<void> {
  const stopped = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  // Who still asks on an open connection is told 503. Refuses to charge nothing that was served: it waits for that.
  await paywall.close()
  // Connections that were busy are kept alive when they are done, unless someone looks again.
  const tidying = setInterval(() => server.closeIdleConnections(), 50)
  const impatience = setTimeout(() => server.closeAllConnections(), lastBytesMs)
  await stopped
  clearInterval(tidying)
  clearTimeout(impatience)
}

/** How long clients may take to read answers that were given already. */
const lastBytesMs = 5_000

function listening(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** A host as it stands in a URL that reaches it from this machine. */
function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}

/** What a listener throws ends its own request: with a 500 that isn't charged, or without an end when bytes have left. */
async function guarded(res: ServerResponse, work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch {
    if (res.headersSent) res.destroy()
    else {
      for (const name of res.getHeaderNames()) res.removeHeader(name)
      await sendResponse(
        res,
        problem(500, 'internal_error', 'The request failed and is not charged.', 'api_error'),
      )
    }
  }
}

function nothingHere(_req: IncomingMessage, res: ServerResponse): void {
  void sendResponse(
    res,
    problem(404, 'not_found', 'There is nothing here. GET /v1/docs tells what there is.'),
  )
}
