import { type Deployment, Headers as DrainHeaders, type Voucher } from '@drain/core'
import type { Address } from 'viem'
import type { ReplayableRequest } from './ReplayableRequest.ts'

/**
 * How vouchers cross the wire: what a 402 offers, where the voucher goes, what an answer tells. The headers of this protocol
 * and of ERC-8190 are one way; another scheme that pays from the same channels brings its own.
 *
 * A channel is paid through the wire that its origin was last paid through, so that vouchers can go out unasked.
 */
export type Wire = {
  name: string
  /**
   * What a 402 wants for a request, or `undefined` where it makes no offer in this way. What it names is compared with the
   * deployment by the caller; a wire needs that only to choose among several offers.
   *
   * @throws {UntrustedProviderError} It offers what can't be meant for this request.
   */
  readOffer(
    response: Response,
    request: ReplayableRequest,
    deployment: Deployment.Deployment,
  ): WireOffer | undefined
  /** Whether a voucher can go out before the provider has been asked. */
  isReady(request: ReplayableRequest): boolean
  writeVoucher(headers: Headers, voucher: Voucher.Voucher, request: ReplayableRequest): void
  /**
   * What became of a request, by the head of its answer: `refused` for its payment; `unserved` for another reason of the
   * payment layer (400, 409, 429, 503 …), so nothing was charged; else `answered`.
   */
  outcome(response: Response): 'answered' | 'refused' | 'unserved'
  /** Why a payment was refused, as far as it is readable. Reads the body where it has to; discarding it is the caller's part. */
  readRefusal(response: Response, request: ReplayableRequest): WireRefusal | Promise<WireRefusal>
  /** What an answer says that it cost. */
  readCosts(response: Response, request: ReplayableRequest): WireCosts | undefined
}

export type WireOffer = DrainHeaders.Offer & {
  /** What this request may cost at most, in base units. */
  quote: bigint | undefined
  /** The token that it wants, where it says so. */
  token?: Address | undefined
}

export type WireRefusal = ReturnType<typeof DrainHeaders.parseRejection> & {
  /** What the wire sent beside the voucher was out of date, and isn't any more: the same payment may go once again. */
  isStale?: boolean
}

/** In base units: of this request, and of its channel in all. */
export type WireCosts = Pick<DrainHeaders.Costs, 'channelId' | 'cost' | 'total'>

/** `X-DRAIN-*`, and `X-Payment-*` of ERC-8190. */
export const headersWire: Wire = {
  name: 'drain',
  readOffer({ headers }) {
    const offer = DrainHeaders.parseOffer(headers)
    return offer && { ...offer, quote: DrainHeaders.parseRejection(headers).required }
  },
  isReady: () => true,
  writeVoucher: DrainHeaders.writeVoucher,
  outcome(response) {
    if (response.status === 402) return 'refused'
    const isRefusal = !response.ok && DrainHeaders.parseRejection(response.headers).code !== undefined
    return isRefusal ? 'unserved' : 'answered'
  },
  readRefusal: ({ headers }) => DrainHeaders.parseRejection(headers),
  readCosts: ({ headers }) => DrainHeaders.parseCosts(headers),
}
