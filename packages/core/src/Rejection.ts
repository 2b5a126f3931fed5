/** Why a provider refuses a payment: the codes of the wire, their HTTP status, in one table. */

/** HTTP status of every code. */
export const statuses = {
  voucher_required: 402,
  insufficient_funds: 402,
  exceeds_deposit: 402,
  invalid_nonce: 402,
  invalid_signature: 402,
  channel_not_found: 402,
  wrong_provider: 402,
  channel_expired: 402,
  channel_closing: 402,
  channel_terms: 402,
  invalid_voucher_format: 400,
  multiple_payments: 400,
  idempotency_mismatch: 422,
  idempotency_in_flight: 409,
  rate_limited: 429,
  unavailable: 503,
} as const

export type Code = keyof typeof statuses

/** A refusal, as a typed result: expected, so not an exception. */
export type Rejection = {
  code: Code
  /** For people; never the text of an exception. */
  message: string
  /** Where the same payment may be taken in a moment. */
  isPassing?: boolean
  /** With `insufficient_funds` and `voucher_required`: this request's quote, in base units. */
  required?: bigint
  /** With `insufficient_funds`: what the voucher leaves for this request, in base units. */
  provided?: bigint
  /** With `insufficient_funds`: the cumulative amount a voucher needs (charged + reserved + quote). */
  requiredCumulative?: bigint
  /** With `insufficient_funds`: the cumulative amount the channel's best voucher has. */
  providedCumulative?: bigint
}

/** The JSON body of a refusal. */
export type Body = { error: { message: string; type: 'payment_required'; code: Code } }

export function toBody(rejection: Rejection): Body {
  return { error: { message: rejection.message, type: 'payment_required', code: rejection.code } }
}

export function isCode(value: unknown): value is Code {
  return typeof value === 'string' && Object.hasOwn(statuses, value)
}
