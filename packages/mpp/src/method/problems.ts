/** Refusals as problem details (RFC 9457) with the types of MPP. */
import type { Rejection } from '@drain/core'

const base = 'https://paymentauth.org/problems/'

const table = {
  'payment-required': [402, 'Payment Required'],
  'malformed-credential': [402, 'Malformed Credential'],
  'invalid-challenge': [402, 'Invalid Challenge'],
  'payment-expired': [402, 'Payment Expired'],
  'invalid-payload': [402, 'Invalid Payload'],
  'verification-failed': [402, 'Verification Failed'],
  'payment-insufficient': [402, 'Payment Insufficient'],
  'payment-action-required': [402, 'Payment Action Required'],
  'bad-request': [400, 'Bad Request'],
  'method-unsupported': [400, 'Method Unsupported'],
  'session/insufficient-balance': [402, 'Insufficient Balance'],
  'session/invalid-signature': [402, 'Invalid Signature'],
  'session/amount-exceeds-deposit': [402, 'Amount Exceeds Deposit'],
  'session/channel-not-found': [410, 'Channel Not Found'],
  'session/channel-finalized': [410, 'Channel Closed'],
  'session/transaction-reverted': [409, 'Transaction Reverted'],
} as const satisfies Record<string, readonly [status: number, title: string]>

export type ProblemName = keyof typeof table

/** What is told of a refusal beside its code and message. */
export type ProblemType = { type: string; title: string; status: number }

export function problemType(name: ProblemName): ProblemType {
  const [status, title] = table[name]
  return { type: base + name, title, status }
}

/** The problem that a refusal of the paywall is. */
export function problemOf(code: Rejection.Code): ProblemType {
  const name = names[code]
  return typeof name === 'string'
    ? problemType(name)
    : { type: 'about:blank', title: name[1], status: name[0] }
}

const names: Record<Rejection.Code, ProblemName | readonly [status: number, title: string]> = {
  voucher_required: 'payment-required',
  insufficient_funds: 'session/insufficient-balance',
  exceeds_deposit: 'session/amount-exceeds-deposit',
  invalid_nonce: 'verification-failed',
  invalid_signature: 'session/invalid-signature',
  channel_not_found: 'session/channel-not-found',
  wrong_provider: 'verification-failed',
  channel_expired: 'session/channel-finalized',
  channel_closing: 'session/channel-finalized',
  channel_terms: 'verification-failed',
  invalid_voucher_format: 'invalid-payload',
  multiple_payments: 'bad-request',
  idempotency_mismatch: [422, 'Unprocessable Content'],
  idempotency_in_flight: [409, 'Conflict'],
  rate_limited: [429, 'Too Many Requests'],
  unavailable: [503, 'Service Unavailable'],
}

/**
 * The body of a refusal, for readers of problem details and of OpenAI's errors alike. `extra`: members beside, such as
 * `challengeId`.
 */
export function problemBody(
  { code, message }: Pick<Rejection.Rejection, 'code' | 'message'>,
  problem: ProblemType,
  extra: Readonly<Record<string, string | undefined>> = {},
): string {
  const error = { message, type: 'payment_required', code }
  return JSON.stringify({ ...problem, detail: message, ...extra, error })
}

export const problemHeaders = { 'Content-Type': 'application/problem+json' } as const
