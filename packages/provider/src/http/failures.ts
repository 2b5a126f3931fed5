/** What keeps a payment from being taken, other than a refusal: told to the client as far as it is true, and to the operator. */
import type { Rejection } from '@drain/core'
import { BaseError } from 'viem'
import { ChainUnavailableError } from '../chain/ChannelReader.ts'
import { LedgerFileError, LedgerUnavailableError } from '../ledger/Errors.ts'
import type { Logger } from '../observe/Log.ts'
import { codeOf } from '../settle/codeOf.ts'
import { type Payment, PaymentCutOffError, PaymentFailedError } from './Payment.ts'
import type { PlainAnswer } from './PlainAnswer.ts'
import { plainFailure } from './responses.ts'

/** A scheme that can't offer or read yet. */
export class SchemeNotReadyError extends Error {
  override readonly name = 'SchemeNotReadyError'
}

const isLedgers = (error: unknown) =>
  error instanceof LedgerUnavailableError || error instanceof LedgerFileError

/** Before any work was done. */
export function unbegun(error: unknown): Rejection.Rejection {
  return { code: 'unavailable', message: reasonOf(error) }
}

function reasonOf(error: unknown): string {
  if (error instanceof SchemeNotReadyError) return 'Payments cannot be taken yet. Try again in a moment.'
  if (error instanceof ChainUnavailableError || error instanceof BaseError)
    return 'The chain is out of reach.'
  if (isLedgers(error)) return 'The ledger is out of reach.'
  return 'The request failed before any work was done. Nothing was charged.'
}

/** When work was done, and its payment could not be settled: what of its answer isn't sent yet is withheld. */
export function unsettled(error: unknown): Rejection.Rejection {
  if (error instanceof PaymentFailedError) return error.rejection
  const message =
    error instanceof PaymentCutOffError
      ? 'The provider ended this request before its answer was there. Send it again in a moment.'
      : isLedgers(error)
        ? 'The ledger is out of reach.'
        : 'The payment could not be taken.'
  return { code: 'unavailable', message }
}

/** The same as an answer. */
export function refuseUnsettled(error: unknown, { refuse, writer }: Payment): PlainAnswer {
  const rejection = unsettled(error)
  return refuse ? refuse(rejection) : plainFailure(rejection, writer)
}

/** Told elsewhere, or no failure of the provider's. */
const expected = [ChainUnavailableError, PaymentFailedError, PaymentCutOffError, SchemeNotReadyError]

/** Tells the operator of what nobody expected. Not the error's text: it may carry a node's URL, or what a client has sent. */
export function tellFailure(logger: Logger, what: string, error: unknown): void {
  if (isLedgers(error) || expected.some((known) => error instanceof known)) return
  const [, at] = (error instanceof Error && error.stack?.match(/\n\s*at (.*)/)) || []
  logger.error(what, { code: codeOf(error), ...(at && { at }) })
}
