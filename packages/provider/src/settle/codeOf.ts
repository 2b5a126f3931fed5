import { DrainError } from '@drain/core'
import { BaseError } from 'viem'

/** What went wrong, for a log: messages of others may carry a node's URL with its key. */
export function codeOf(error: unknown): string {
  if (error instanceof DrainError) return error.code
  // A bug of ours has a name.
  return error instanceof Error && !(error instanceof BaseError)
    ? `unavailable, ${error.name}`
    : 'unavailable'
}
