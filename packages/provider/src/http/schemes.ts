/** The schemes of a paywall as one: a 402 that offers them all, and the one instrument of a request. */
import { type Rejection, Headers as Wire } from '@drain/core'
import { accepted } from './acceptPayment.ts'
import type { RequestHead } from './RequestHead.ts'
import type { AnswerWriter, Ask, Instrument, Reading, Refusal, Scheme } from './Scheme.ts'

/** What pays for a request: a voucher in the headers, something of a scheme, or what is wrong. */
export type Found = Wire.ParsedVoucher | { ok: true; instrument: Instrument } | FoundRefused
type FoundRefused = {
  ok: false
  code: Rejection.Code
  message: string
  refused: Refusal
  writer?: AnswerWriter
}

export type Schemes = {
  /** Resolves when all of them can offer and read; at once, undefined, when they can already. */
  ready(): Promise<void> | undefined
  /** The value of a 402's `WWW-Authenticate`, of what the request's `Accept-Payment` takes, where it has one. */
  offer(ask: Ask): string | undefined
  /** The names of those that a request of that price can be paid by; without a price, of all. Call when they are ready. */
  offered(request: RequestHead, origin: string, price?: bigint): string[]
  find(request: RequestHead, origin: string): Found
}

/**
 * `undefined` where there are only the headers.
 *
 * @param failed Told why schemes are not ready, once until they are.
 */
export function createSchemes(
  schemes: readonly Scheme[],
  failed: (error: unknown) => void,
): Schemes | undefined {
  if (schemes.length === 0) return undefined
  let readiness: Promise<void> | undefined
  let isReady = false
  let isTold = false

  function find(request: RequestHead, origin: string): Found {
    const inHeaders = Wire.parseVoucher(request.headers)
    let reading: Reading | undefined
    for (const scheme of schemes) {
      const read = scheme.read(request, origin)
      // What none of them can read, each of them says so.
      if (read && reading && (read.ok || reading.ok)) return multiple
      reading ??= read
    }
    if (!reading) return inHeaders
    const isAlone = !inHeaders.ok && inHeaders.code === 'voucher_required'
    if (!isAlone) return multiple
    if (reading.ok) return { ok: true, instrument: reading.instrument }
    const { rejection, writer } = reading
    return { ok: false, code: rejection.code, message: rejection.message, refused: reading, writer }
  }

  function challengesOf(offering: readonly Scheme[], ask: Ask): string | undefined {
    let all: string | undefined
    for (const scheme of offering) {
      const challenge = scheme.offer(ask)
      if (challenge !== undefined) all = all === undefined ? challenge : `${all}, ${challenge}`
    }
    return all
  }

  return {
    ready() {
      if (isReady) return undefined
      readiness ??= Promise.all(schemes.map((scheme) => scheme.ready?.())).then(
        () => {
          isReady = true
        },
        (error) => {
          readiness = undefined
          if (!isTold) failed(error)
          isTold = true
          throw error
        },
      )
      return readiness
    },
    offer(ask) {
      const wanted = ask.request.headers.get(acceptName)
      const offering = wanted === null ? schemes : accepted(schemes, wanted)
      // What is accepted may not be on offer at that price.
      return challengesOf(offering, ask) ?? (offering === schemes ? undefined : challengesOf(schemes, ask))
    },
    offered(request, origin, price) {
      const quote = price === undefined ? undefined : { most: price, first: price }
      return schemes
        .filter((scheme) => !quote || scheme.offer({ request, origin, quote }) !== undefined)
        .map(({ name }) => name)
    },
    find,
  }
}

const acceptName = 'Accept-Payment'

const multiple: Found = {
  ok: false,
  code: 'multiple_payments',
  message: 'Send exactly one payment with a request.',
}
