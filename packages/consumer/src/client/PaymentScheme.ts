import type { SinglePayments } from './paySingly.ts'
import type { ReplayableRequest } from './ReplayableRequest.ts'

/** Another way to pay than from a channel: a payment of its own for each request. Under the same limits. */
export type PaymentScheme = {
  name: string
  /** What a 402 asks for, or `undefined` where it makes no offer in this scheme. Looks at nothing but the response's head. */
  readOffer(response: Response, request: ReplayableRequest): SchemeOffer | undefined
}

export type SchemeOffer = {
  /** Base units of USDC: the most that the payment can take. */
  amount: bigint
  /** Who gets it: an address, or another name that the scheme vouches for. */
  payee: string
  /** Until when the payment can be taken, in Unix milliseconds. An answer that was lost is asked for until then. */
  expires?: number | undefined
  /**
   * Sends the request with its payment, once. Called after the limits allow it, and it is written down. What `fetch` is given it
   * sends under an `Idempotency-Key`, and the very same again where the answer is lost or still to come.
   */
  pay(request: ReplayableRequest, fetch: typeof globalThis.fetch): Promise<SchemeAnswer>
}

export type SchemeAnswer = {
  response: Response
  /** Base units that were taken, as far as the answer proves it; the whole amount where it says nothing, or more. */
  cost?: bigint | undefined
}

/** Finds what a 402 offers beside channels, and pays it. */
export type SchemePayer = {
  /** The first scheme's offer, in the caller's order; `undefined` when there is none. */
  find(response: Response, request: ReplayableRequest): SchemeOffer | undefined
  /** How many requests to an origin were paid so. */
  paidTo(origin: string): number
  /** Pays once, within the limits. */
  pay(request: ReplayableRequest, offer: SchemeOffer): Promise<Response>
}

export function createSchemePayer(
  options: SinglePayments & { schemes: readonly PaymentScheme[] },
): SchemePayer {
  const { schemes } = options
  const paid = new Map<string, number>()
  return {
    find(response, request) {
      for (const scheme of schemes) {
        const offer = scheme.readOffer(response, request)
        if (offer) return offer
      }
      return undefined
    },
    paidTo: (origin) => paid.get(origin) ?? 0,
    async pay(request, offer) {
      const { paySingly } = await import('./paySingly.ts')
      const response = await paySingly(options, request, offer)
      const { origin } = request.url
      paid.set(origin, (paid.get(origin) ?? 0) + 1)
      return response
    },
  }
}
