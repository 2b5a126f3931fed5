/** Asks servers that strangers named, without being turned against the network that we are in. */
import { checkedAddresses } from './checkedAddresses.ts'
import { exchange, lateAnswer } from './exchange.ts'
import { OutwardError } from './OutwardError.ts'
import { type OutwardUrl, outwardUrl } from './outwardUrl.ts'
import { createResolveHost, type ResolveHost } from './resolveHost.ts'

export type OutwardOptions = {
  /** Whether `127.0.0.0/8`, `::1` and `localhost` may be asked, over plain HTTP too: for local development. Nothing else is let in. */
  allowLoopback: boolean
  /** What a name stands for; asked once for each hop. The name servers by default. */
  resolve?: ResolveHost | undefined
  /** How long a lookup may take, in milliseconds; it counts as a part of the whole. Default 5,000. */
  lookupTimeoutMs?: number | undefined
}

export type OutwardRequest = {
  method?: 'GET' | 'HEAD' | 'POST' | undefined
  headers?: Readonly<Record<string, string>> | undefined
  body?: string | undefined
  /** For everything: lookups, connections, redirects, the last byte of the body. In milliseconds. */
  timeoutMs: number
  /** The most bytes of the answer's body. */
  maxBytes: number
  /**
   * How many redirects are followed. By default 3 of those that only read; with 0, and of all others, the redirect itself is the
   * answer.
   */
  redirects?: number | undefined
}

export type OutwardResponse = {
  status: number
  headers: Headers
  text: string
  /** Where it came from at last. */
  url: string
  /** Until its last byte, redirects and lookups included. */
  latencyMs: number
}

/** @throws {OutwardError} */
export type OutwardFetch = (url: string, request: OutwardRequest) => Promise<OutwardResponse>

const mostRedirects = 3
const redirecting = new Set([301, 302, 303, 307, 308])

/** As an agent's own requests look: who would treat us better than agents should not know us by a header. */
const ownHeaders = { accept: '*/*', 'user-agent': 'node' }

/**
 * A function that asks a URL whoever named it. On every hop the host's name is looked up once, all its addresses are checked, and
 * the connection goes to one of these; https only, the certificate checked against the name. What comes is bounded in time and size.
 *
 * @example
 * ```ts
 * const outward = createOutwardFetch({ allowLoopback: false })
 * const { status, text } = await outward('https://api.example.com/v1/pricing', { timeoutMs: 10_000, maxBytes: 1 << 20 })
 * ```
 */
export function createOutwardFetch(options: OutwardOptions): OutwardFetch {
  const { allowLoopback, resolve = createResolveHost(), lookupTimeoutMs = 5_000 } = options

  async function follow(first: OutwardUrl, request: OutwardRequest, signal: AbortSignal, endsAt: number) {
    const { method = 'GET', body, maxBytes, headers = {} } = request
    const redirects = method === 'POST' ? 0 : (request.redirects ?? mostRedirects)
    let current = first
    for (let hop = 0; ; hop++) {
      const timeoutMs = Math.min(lookupTimeoutMs, endsAt - performance.now())
      const addresses = await checkedAddresses(current, { allowLoopback, resolve, timeoutMs })
      if (signal.aborted) throw lateAnswer()
      // What was meant for one server is not shown to another.
      const isSameOrigin = current.url.origin === first.url.origin
      const sent = {
        ...ownHeaders,
        ...(isSameOrigin && lowerCase(headers)),
        'accept-encoding': 'identity',
        connection: 'close',
        ...(body !== undefined && { 'content-length': String(Buffer.byteLength(body)) }),
      }
      const answer = await exchange(current, addresses, { method, headers: sent, body, maxBytes, signal })
      const location = redirecting.has(answer.status) ? answer.headers.get('Location') : null
      if (location === null || redirects === 0) return { ...answer, url: current.url.href }
      if (hop === redirects) {
        throw new OutwardError(
          'too_many_redirects',
          `The server redirects more than ${redirects} times.`,
          'Give the URL where the redirects end.',
        )
      }
      current = outwardUrl(location, allowLoopback, current)
    }
  }

  return async (text, request) => {
    const startedAt = performance.now()
    const first = outwardUrl(text, allowLoopback)
    const time = new AbortController()
    const timer = setTimeout(() => time.abort(), request.timeoutMs)
    try {
      const answer = await follow(first, request, time.signal, startedAt + request.timeoutMs)
      return { ...answer, latencyMs: Math.round(performance.now() - startedAt) }
    } finally {
      clearTimeout(timer)
    }
  }
}

function lowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}
