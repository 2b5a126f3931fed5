import { DrainError } from '@drain/core'
import type { Hex } from 'viem'

/** What the chain is said to show does not agree with what the ledger wrote down about the channel. Nothing changed. */
export class ChannelMismatchError extends DrainError {
  override readonly name = 'ChannelMismatchError'
  constructor(channelId: Hex, difference: string) {
    super(
      'channel_mismatch',
      `Channel ${channelId} is known to the ledger with other facts: ${difference}.`,
      {
        action: 'Read the channel from its contract again; check chain, contract and RPC endpoint.',
      },
    )
  }
}

/** An operation was about to break an invariant of the ledger, or read a row that breaks one. Nothing was written. */
export class LedgerInvariantError extends DrainError {
  override readonly name = 'LedgerInvariantError'
  constructor(channelId: Hex, broken: string, details: string) {
    super('ledger_invariant', `The account of channel ${channelId} would be unsound: ${broken}.`, {
      action: 'This is a defect in the ledger or a damaged row; the channel is not served. Please report it.',
      details,
    })
  }
}

/** The ledger was asked for something that can't be: a bug of the caller. Nothing changed. */
export class LedgerUsageError extends DrainError {
  override readonly name = 'LedgerUsageError'
  constructor(problem: string) {
    super('ledger_usage', problem)
  }
}

/**
 * The store could not do the operation: busy, full, failing or closed. Answer 503 and do no work. It is most likely, but
 * not certain, that nothing was written; every operation can be repeated.
 */
export class LedgerUnavailableError extends DrainError {
  override readonly name = 'LedgerUnavailableError'
  constructor(problem: string, cause?: unknown) {
    super('ledger_unavailable', `The ledger is out of reach: ${problem}.`, {
      action: 'Serve nothing until it is back; check the disk.',
      details: cause instanceof Error ? cause.message : undefined,
      cause,
    })
  }
}

/** The ledger's file can't be used. It was left as it is, and no other was put in its place. */
export class LedgerFileError extends DrainError {
  override readonly name = 'LedgerFileError'
  readonly path: string
  constructor(path: string, problem: string, options: { action: string; cause?: unknown }) {
    super('ledger_file', `The ledger ${path} ${problem}. It was left as it is.`, {
      ...options,
      details: options.cause instanceof Error ? options.cause.message : undefined,
    })
    this.path = path
  }
}
