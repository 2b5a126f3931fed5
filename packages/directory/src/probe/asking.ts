/** How a test asks a provider's server, and what it makes of the answers. */
import { lateAnswer } from '../net/exchange.ts'
import { OutwardError } from '../net/OutwardError.ts'
import type { OutwardFetch, OutwardRequest, OutwardResponse } from '../net/outwardFetch.ts'
import type { CheckName, ConnectionCheck, TestOptions } from './ConnectionTest.ts'
import { plainLine, plainText } from './plainText.ts'

const longestDocs = 20_000

/** Asks and gives the answer, or the error. */
export type Ask = (
  url: string,
  request?: Partial<OutwardRequest>,
) => Promise<{ response: OutwardResponse; error?: undefined } | { response?: undefined; error: OutwardError }>

type Times = Pick<TestOptions, 'timeoutMs' | 'withinMs'>

/** Once `withinMs` is over, what still runs is broken off, and nothing is asked any more. */
export function createAsk(
  outward: OutwardFetch,
  { timeoutMs = 10_000, withinMs = Number.POSITIVE_INFINITY }: Times = {},
): Ask {
  const endsAt = performance.now() + withinMs
  return async (url, request) => {
    const left = Math.ceil(endsAt - performance.now())
    if (left <= 0) return { error: lateAnswer() }
    try {
      return {
        response: await outward(url, { timeoutMs: Math.min(timeoutMs, left), maxBytes: 1 << 18, ...request }),
      }
    } catch (error) {
      if (error instanceof OutwardError) return { error }
      throw error
    }
  }
}

/** The body of a small chat, as an agent would send it. */
export function chatRequest(model: string): Partial<OutwardRequest> {
  return jsonRequest({ model, messages: [{ role: 'user', content: 'Hello' }], max_tokens: 16 })
}

export function jsonRequest(body: unknown): Partial<OutwardRequest> {
  return {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    // It is an agent's money that would follow.
    redirects: 0,
  }
}

/** A route of an API that may stand below a path. */
export function routeOf(apiUrl: string, path: `/${string}`): string {
  if (!URL.canParse(apiUrl)) return apiUrl
  const url = new URL(apiUrl)
  url.pathname = `${url.pathname.replace(/\/+$/, '')}${path}`
  url.search = ''
  return url.href
}

/** Writes checks down as they end. */
export type Checklist = {
  readonly checks: readonly ConnectionCheck[]
  tell(name: CheckName, passed: boolean, detail: string, latencyMs?: number): void
  /** All that were not told of have not passed. */
  end(names: readonly CheckName[], detail: string): void
}

export function createChecklist(onCheck: TestOptions['onCheck']): Checklist {
  const checks: ConnectionCheck[] = []
  function tell(name: CheckName, passed: boolean, detail: string, latencyMs?: number) {
    const check: ConnectionCheck = { name, passed, detail: plainLine(detail, 500) }
    if (latencyMs !== undefined) check.latencyMs = latencyMs
    checks.push(check)
    onCheck?.(check)
  }
  return {
    checks,
    tell,
    end(names, detail) {
      for (const name of names) if (!checks.some((check) => check.name === name)) tell(name, false, detail)
    },
  }
}

/** The text of docs, or `undefined` where an answer has none. A web page is none: agents read plain text. */
export function docsIn({
  status,
  headers,
  text,
}: OutwardResponse): { text: string; length: number } | undefined {
  if (status !== 200 || /^\s*text\/html/i.test(headers.get('Content-Type') ?? '')) return undefined
  const whole = plainText(text).trim()
  return { text: whole.slice(0, longestDocs), length: whole.length }
}

/** What to do where a request without a payment was not answered with a 402. */
export function notPaymentRequired(status: number, what: string): string {
  if (status < 300) return `${what} is served without a payment (${status}). Put the paywall in front of it.`
  if (status < 400)
    return `${what} redirects (${status}), and agents send no payment after that. Register the URL that it leads to.`
  if (status === 401 || status === 403)
    return `${what} asks for a login (${status}). Let requests without one through: the payment is the login.`
  if (status === 404 || status === 405)
    return `There is no ${what} (${status}). Serve it, or register the URL that it is below.`
  if (status === 429) return `${what} refuses too many requests (429). Test again in a while.`
  if (status < 500)
    return `${what} is refused (${status}) before a payment is asked for. Answer 402 first, or show a request that works: as the route’s example in /openapi.json, or as a line of JSON in /v1/docs.`
  return `${what} fails (${status}). Look for the reason in the server’s log.`
}
