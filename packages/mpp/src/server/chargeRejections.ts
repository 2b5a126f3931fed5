/** Why a charge is refused, in the codes of the wire and as a problem of MPP. */
import type { Rejection } from '@drain/core'
import type { ProblemName } from '../method/problems.ts'
import type { ChargeFailure, Refusal } from './chargeSettler.ts'
import type { MppRejection } from './refusals.ts'

export type RefusedCharge = { ok: false; rejection: MppRejection; retryAfterSeconds?: number | undefined }

export function refuseCharge(
  code: Rejection.Code,
  message: string,
  problem?: ProblemName,
  retryAfterSeconds?: number,
): RefusedCharge {
  const rejection: MppRejection = { code, message, ...(problem && { problem }) }
  return { ok: false, rejection, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) }
}

export const usedBefore = refuseCharge(
  'invalid_nonce',
  'This credential was used before. Pay a fresh challenge.',
  'invalid-challenge',
)

export const inFlight = refuseCharge(
  'idempotency_in_flight',
  'A request with this Idempotency-Key is at work.',
  undefined,
  2,
)

export const otherRequest = refuseCharge(
  'idempotency_mismatch',
  'This Idempotency-Key was used for another request.',
)

/** A request under this key was paid for, and nothing is kept that could be given for it. */
export const answerGone = refuseCharge(
  'idempotency_mismatch',
  'The request of this Idempotency-Key was paid for and its answer is not kept. Nothing more is charged under this key.',
)

/** What the chain or the token had against it. */
export function refusedBy({ failure, message }: Refusal): RefusedCharge {
  const [code, problem, retryAfterSeconds] = refusals[failure]
  return refuseCharge(code, message, problem, retryAfterSeconds)
}

const refusals: Record<ChargeFailure, readonly [Rejection.Code, (ProblemName | undefined)?, number?]> = {
  unavailable: ['unavailable', undefined, 5],
  unsent: ['unavailable', undefined, 5],
  pending: ['unavailable', undefined, 10],
  reverted: ['unavailable', undefined, 30],
  gas_price: ['channel_terms', 'verification-failed'],
  expired: ['invalid_signature', 'payment-expired'],
  insufficient_balance: ['insufficient_funds', 'payment-insufficient'],
  used: ['invalid_nonce', 'invalid-challenge'],
  code: ['invalid_signature', 'verification-failed'],
  refused: ['invalid_signature', 'verification-failed'],
}

/** Whether the authorization can't be cashed any more, as far as is known. */
export function isOver({ failure }: Pick<Refusal, 'failure'>): boolean {
  return !passing.has(failure)
}

const passing = new Set<ChargeFailure>(['unavailable', 'unsent', 'pending', 'reverted', 'gas_price'])
