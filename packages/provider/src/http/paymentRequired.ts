/** 402s: what a request costs and how to pay it. All but the price is the same for all of them. */
import { type Rejection, Headers as Wire } from '@drain/core'
import type { PlainAnswer } from './PlainAnswer.ts'
import { plainRefusal } from './responses.ts'
import type { AnswerWriter, Ask, Refusal } from './Scheme.ts'
import type { Schemes } from './schemes.ts'

/** The most origins that are remembered: whoever asks names them. */
const remembered = 16

/** Where challenges of schemes stand. */
const challengeName = 'WWW-Authenticate'

/**
 * Answers 402s. What is the same in all of them is made once for each origin, since anybody may ask for one.
 *
 * @param offerAt How and where to pay, as told at an origin.
 */
export function createPaymentRequired(offerAt: (origin: string) => Wire.Offer, schemes?: Schemes) {
  const voucherless = new Map<string, Record<string, string>>()

  function headersAt(origin: string, code: Rejection.Code): Record<string, string> {
    const known = voucherless.get(origin)
    if (known) return known
    const made = plainRefusal({ code, message: '' }, offerAt(origin)).headers
    if (voucherless.size >= remembered) voucherless.clear()
    voucherless.set(origin, made)
    return made
  }

  /** Puts the schemes' challenges on a 402. */
  function offer(headers: Record<string, string>, ask: Ask): void {
    const challenge = schemes?.offer(ask)
    if (challenge !== undefined) headers[challengeName] = challenge
  }

  return {
    /** For a request without a payment. */
    ask(ask: Ask, message: string): PlainAnswer {
      const code = 'voucher_required'
      const headers: Record<string, string> = {
        ...headersAt(ask.origin, code),
        [Wire.names.required[0]]: ask.quote.most.toString(),
      }
      if (!schemes) return { status: 402, headers, body: bodyOf(message) }
      offer(headers, ask)
      headers['Content-Type'] = 'application/problem+json'
      return { status: 402, headers, body: problemOf(message) }
    },
    /** For a payment that isn't taken. `writer`: how its scheme tells that. */
    refuse(ask: Ask, { rejection, retryAfterSeconds }: Refusal, writer?: AnswerWriter): PlainAnswer {
      if (!schemes) return plainRefusal(rejection, offerAt(ask.origin), retryAfterSeconds)
      const isUnpaid = rejection.code === 'voucher_required'
      const full = isUnpaid ? { ...rejection, required: ask.quote.most } : rejection
      const plain = plainRefusal(full, offerAt(ask.origin), retryAfterSeconds)
      const told = writer?.refuse(rejection)
      const { status, body } = told ?? plain
      const headers = { ...plain.headers, ...told?.headers }
      if (status === 402) offer(headers, ask)
      if (retryAfterSeconds !== undefined) headers['Retry-After'] = retryAfterSeconds.toString()
      return { status, headers, body }
    },
  }
}

const bodyOf = rememberingLast((message) =>
  JSON.stringify({ error: { message, type: 'payment_required', code: 'voucher_required' } }),
)

/** The same, for readers of problem details (RFC 9457) as well. */
const problemOf = rememberingLast((message) =>
  JSON.stringify({
    type: 'https://paymentauth.org/problems/payment-required',
    title: 'Payment Required',
    status: 402,
    detail: message,
    error: { message, type: 'payment_required', code: 'voucher_required' },
  }),
)

/** Writes bodies of messages, of which nearly all are one. */
function rememberingLast(write: (message: string) => string): (message: string) => string {
  let last = { message: '', body: write('') }
  return (message) => {
    if (last.message !== message) last = { message, body: write(message) }
    return last.body
  }
}
