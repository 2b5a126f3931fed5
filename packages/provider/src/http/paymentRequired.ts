/** The 402 of a request without a voucher: the same for all of them but for the price. */
import { type Rejection, Headers as Wire } from '@drain/core'
import type { PlainAnswer } from './PlainAnswer.ts'
import { plainRefusal } from './responses.ts'

/** The most origins that are remembered: whoever asks names them. */
const remembered = 16

/**
 * Answers 402s. What is the same in all of them is made once for each origin, since anybody may ask for one.
 *
 * @param offerAt How and where to pay, as told at an origin.
 */
export function createPaymentRequired(offerAt: (origin: string) => Wire.Offer) {
  const voucherless = new Map<string, Record<string, string>>()

  function headersAt(origin: string, code: Rejection.Code): Record<string, string> {
    const known = voucherless.get(origin)
    if (known) return known
    const made = plainRefusal({ code, message: '' }, offerAt(origin)).headers
    if (voucherless.size >= remembered) voucherless.clear()
    voucherless.set(origin, made)
    return made
  }

  return {
    /** For a request without a voucher. `required`: its quote, in base units. */
    ask(origin: string, message: string, required: bigint): PlainAnswer {
      const code = 'voucher_required'
      const headers = { ...headersAt(origin, code), [Wire.names.required[0]]: required.toString() }
      return { status: 402, headers, body: bodyOf(message) }
    },
    /** For a voucher that isn't taken. */
    refuse: (origin: string, rejection: Rejection.Rejection): PlainAnswer =>
      plainRefusal(rejection, offerAt(origin)),
  }
}

function bodyOf(message: string): string {
  return JSON.stringify({ error: { message, type: 'payment_required', code: 'voucher_required' } })
}
