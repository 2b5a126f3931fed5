import { InvalidRequestError } from '@drain/core'
import { problem } from './responses.ts'

/** What `price` asks, or the 400 for a request that it finds malformed. */
export async function quoteBy(price: () => bigint | Promise<bigint>): Promise<bigint | Response> {
  try {
    return await price()
  } catch (error) {
    if (error instanceof InvalidRequestError) return problem(400, 'invalid_request', error.message)
    throw error
  }
}
