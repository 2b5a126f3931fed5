/** Why a payment is refused, in the words of the wire. */
import { type Rejection, Usdc } from '@drain/core'
import type { ChannelState } from '../ledger/Ledger.ts'
import type { StreamQuote } from './StreamQuote.ts'

/** A refusal of the ledger as the wire tells it. */
export function ledgerRejection(
  code: Rejection.Code,
  state: ChannelState,
  quote: Pick<StreamQuote, 'most' | 'first'>,
): Rejection.Rejection {
  switch (code) {
    case 'insufficient_funds':
      return insufficientFunds(state, quote)
    case 'invalid_nonce':
      return {
        code,
        message: 'This voucher’s nonce was used before, or is too old. Sign with a new, higher nonce.',
      }
    case 'exceeds_deposit':
      return {
        code,
        message: `The voucher promises more than the channel holds (${Usdc.display(state.deposit)}).`,
      }
    case 'idempotency_in_flight':
      return {
        code,
        message: 'A request with this Idempotency-Key is being answered. Try again in a moment.',
      }
    case 'idempotency_mismatch':
      return idempotencyMismatch
    case 'rate_limited':
      return { code, message: 'Too many requests at once on this channel. Try again in a second.' }
    default:
      return { code, message: 'This channel is closing. Open a new one.' }
  }
}

export const tooManyRequests: Rejection.Rejection = {
  code: 'rate_limited',
  message: 'This channel has too many requests at the moment. Nothing was charged; send it again later.',
}

export const closed: Rejection.Rejection = {
  code: 'unavailable',
  message: 'The provider is shutting down. Nothing was charged; send it again in a moment.',
}

export const idempotencyMismatch: Rejection.Rejection = {
  code: 'idempotency_mismatch',
  message: 'This Idempotency-Key was used for another request. Use a new one for each request.',
}

function insufficientFunds(
  { charged, reserved, authorized, deposit }: ChannelState,
  { most, first }: Pick<StreamQuote, 'most' | 'first'>,
): Rejection.Rejection {
  const requiredCumulative = charged + reserved + most
  const provided = authorized - charged - reserved
  const needs =
    first < most
      ? `needs ${Usdc.display(first)} to begin and ${Usdc.display(most)} at most`
      : `needs ${Usdc.display(most)}`
  return {
    code: 'insufficient_funds',
    message:
      `Voucher covers ${Usdc.display(provided)}, this request ${needs}. ` +
      (charged + reserved + first > deposit
        ? `The channel holds ${Usdc.display(deposit)}: open another one.`
        : `Sign a voucher for at least ${Usdc.display(charged + reserved + first)} (cumulative).`),
    required: most,
    provided,
    requiredCumulative,
    providedCumulative: authorized,
  }
}

export const lookupRejections: Record<'unknown' | 'unconfirmed' | 'busy', Rejection.Rejection> = {
  unknown: {
    code: 'channel_not_found',
    message: 'This channel does not exist on chain. Open a channel first.',
  },
  unconfirmed: {
    code: 'channel_not_found',
    message: 'This channel’s opening is not confirmed deeply enough yet. Try again soon.',
    isPassing: true,
  },
  busy: { code: 'rate_limited', message: 'Too many unknown channels at once. Try again in a second.' },
}
