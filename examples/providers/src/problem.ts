/** Errors of these services' own routes, in OpenAI's shape. */
import { InvalidRequestError } from '@drain-protocol/sdk'

/** An error that any origin may read. `message` says what to do. */
export function problem(status: number, code: string, message: string): Response {
  const type = status >= 500 ? 'api_error' : 'invalid_request_error'
  return Response.json(
    { error: { message, type, param: null, code } },
    { status, headers: { 'Access-Control-Allow-Origin': '*', 'Cache-Control': 'no-store' } },
  )
}

/** A request that is not served, before it is paid or instead of its answer: nothing is charged for it. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly status: number
  readonly code: string
  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** What a refusal is answered. @throws What is none. */
export function refused(error: unknown): Response {
  if (error instanceof Refusal) return problem(error.status, error.code, error.message)
  if (error instanceof InvalidRequestError) return problem(400, 'invalid_request', error.message)
  throw error
}
