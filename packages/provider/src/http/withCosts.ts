import type { Headers as Wire } from '@drain/core'
import { allowOrigin } from './cors.ts'
import { writePaid } from './costHeaders.ts'
import type { Payment } from './Payment.ts'

/** Responses that carry costs already: a handler may answer twice with the same one, if it has no body. */
const priced = new WeakSet<Response>()

/** What servers put in the place of `Response` is made whole when somebody asks for its body; the platform's own is anyway. */
const platform = Object.getPrototypeOf(Response.error())

/**
 * A response that can be sent, and take costs: do this before anything is charged for it.
 * @throws {TypeError | RangeError} When it can't be sent: its body was read, or it has no status.
 */
export function sendable(response: Response): Response {
  if (Object.getPrototypeOf(response) === platform && (response.bodyUsed || response.body?.locked)) {
    throw new TypeError('The body of the response was read.')
  }
  if (priced.has(response) || response.status < 200) return copyOf(response)
  try {
    allowOrigin(response.headers)
    return response
  } catch {
    // Responses of `fetch` and redirects can't be changed.
    return copyOf(response)
  }
}

/** A `sendable` response with what it cost, or with its channel where a stream tells the cost at its end. */
export function withCosts(response: Response, payment: Payment, costs?: Wire.Costs): Response {
  const { headers } = response
  writePaid(headers, payment, costs, response.status)
  if (!headers.has('Cache-Control')) headers.set('Cache-Control', 'private')
  priced.add(response)
  return response
}

function copyOf({ body, status, statusText, headers }: Response): Response {
  const copy = new Response(body, { status, statusText, headers })
  allowOrigin(copy.headers)
  return copy
}
