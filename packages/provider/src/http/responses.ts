/** Responses of the paywall: refusals, errors, JSON. */
import { Rejection, Headers as Wire } from '@drain/core'
import { allowOrigin, exposed } from './cors.ts'
import { type PlainAnswer, toResponse } from './PlainAnswer.ts'
import type { AnswerWriter } from './Scheme.ts'

/** A JSON response that any origin may read. */
export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  const response = Response.json(value, { status, headers })
  allowOrigin(response.headers)
  return response
}

/** An error in OpenAI's shape. `message` is for people and never the text of an exception. */
export function problem(
  status: number,
  code: string,
  message: string,
  type = 'invalid_request_error',
): Response {
  return json({ error: { message, type, code } }, status, { 'Cache-Control': 'no-store' })
}

/** Refusals that the same request may not get again in a moment. */
const passing = new Set<Rejection.Code>(['rate_limited', 'unavailable', 'idempotency_in_flight'])

/** A refused payment; with `offer` it says how and where to pay. */
export function refusal(rejection: Rejection.Rejection, offer?: Wire.Offer): Response {
  return toResponse(plainRefusal(rejection, offer))
}

/** The same, for servers that take it as it is. */
export function plainRefusal(
  rejection: Rejection.Rejection,
  offer?: Wire.Offer,
  retryAfterSeconds = 1,
): PlainAnswer {
  const headers: Record<string, string> = {
    'Cache-Control': 'no-store',
    'Content-Type': 'application/json',
    ...exposed,
  }
  const target = {
    set(name: string, value: string) {
      headers[name] = value
    },
  }
  if (offer) Wire.writeOffer(target, offer)
  Wire.writeRejection(target, rejection)
  if (rejection.isPassing || passing.has(rejection.code))
    headers['Retry-After'] = retryAfterSeconds.toString()
  const body = JSON.stringify(Rejection.toBody(rejection))
  return { status: Rejection.statuses[rejection.code], headers, body }
}

/** A refused payment as its scheme tells it. */
export function plainFailure(
  rejection: Rejection.Rejection,
  writer: AnswerWriter | undefined,
  retryAfterSeconds?: number,
): PlainAnswer {
  const plain = plainRefusal(rejection, undefined, retryAfterSeconds)
  const told = writer?.refuse(rejection)
  return told ? { ...told, headers: { ...plain.headers, ...told.headers } } : plain
}
