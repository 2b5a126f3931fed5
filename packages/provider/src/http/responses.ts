/** Responses of the paywall: refusals, errors, JSON. */
import { Rejection, Headers as Wire } from '@drain/core'
import { allowOrigin } from './cors.ts'

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

/** A refused payment; with `offer` it says how and where to pay. */
export function refusal(rejection: Rejection.Rejection, offer?: Wire.Offer): Response {
  const headers = new Headers({ 'Cache-Control': 'no-store' })
  if (offer) Wire.writeOffer(headers, offer)
  Wire.writeRejection(headers, rejection)
  if (rejection.code === 'rate_limited' || rejection.code === 'unavailable') headers.set('Retry-After', '1')
  allowOrigin(headers)
  return Response.json(Rejection.toBody(rejection), { status: Rejection.statuses[rejection.code], headers })
}
