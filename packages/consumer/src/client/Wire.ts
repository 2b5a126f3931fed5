import { Headers as DrainHeaders, type Voucher } from '@drain/core'

/**
 * How vouchers cross the wire: what a 402 offers, where the voucher goes, what an answer tells. The headers of this protocol
 * and of ERC-8190 are one way; another scheme that pays from the same channels brings its own.
 */
export type Wire = {
  name: string
  /** What a 402 wants, or `undefined` where it makes no offer in this scheme. */
  readOffer(response: Response): DrainHeaders.Offer | undefined
  writeVoucher(headers: Headers, voucher: Voucher.Voucher): void
  /** Why a payment was refused, as far as it is readable. */
  readRejection(response: Response): ReturnType<typeof DrainHeaders.parseRejection>
  /** What an answer says that it cost. */
  readCosts(response: Response): DrainHeaders.Costs | undefined
}

/** `X-DRAIN-*`, and `X-Payment-*` of ERC-8190. */
export const headersWire: Wire = {
  name: 'drain',
  readOffer: ({ headers }) => DrainHeaders.parseOffer(headers),
  writeVoucher: DrainHeaders.writeVoucher,
  readRejection: ({ headers }) => DrainHeaders.parseRejection(headers),
  readCosts: ({ headers }) => DrainHeaders.parseCosts(headers),
}
