import { InvalidRequestError } from '@drain/core'
import { problem } from './responses.ts'
import type { RequestQuote } from './StreamQuote.ts'

/** What `price` asks, or the 400 for a request that it finds malformed. */
export async function quoteBy(
  price: () => RequestQuote | Promise<RequestQuote>,
): Promise<RequestQuote | Response> {
  try {
    return await price()
  } catch (error) {
    if (error instanceof InvalidRequestError) return problem(400, 'invalid_request', error.message)
    throw error
  }
}
