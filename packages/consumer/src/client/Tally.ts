/**
 * What a client knows of one channel's money, in base units, and what it may sign next. Pure.
 *
 * The provider's word counts up to a bound: what answers were received for, plus what requests without an answer may have
 * cost, of which no more than `most` (`limits.undelivered`) is believed. So however it fails, rejects, repeats or
 * miscounts, no voucher exceeds
 *
 *     delivered + min(lost, most) + quotes under way
 *
 * Invariants: `charged ≤ delivered + min(lost, most)`; `charged + inFlight ≤ signed ≤ deposit`; `signed ≤ delivered + most
 * + the highest inFlight ever`; `signed`, `charged`, `delivered` and `lost` never fall.
 */
export type Tally = {
  deposit: bigint
  /** The highest cumulative amount ever signed. */
  signed: bigint
  /** What the provider has charged in all, as far as it is believed: the base of the next voucher. */
  charged: bigint
  /** Sum of the costs that came with answers, and of what was granted to streams that the caller left. */
  delivered: bigint
  /** Sum of the quotes of paid requests that ended without telling their cost: they may have been charged. */
  lost: bigint
  /** Sum of the quotes of requests under way. */
  inFlight: bigint
}

export function start(deposit: bigint): Tally {
  return { deposit, signed: 0n, charged: 0n, delivered: 0n, lost: 0n, inFlight: 0n }
}

/** What is left of the deposit for new requests. */
export function remaining({ deposit, charged, inFlight }: Tally): bigint {
  return deposit - charged - inFlight
}

/** The most that can rightly have been charged: what a close may settle. */
export function bound({ signed, delivered, lost, inFlight }: Tally): bigint {
  return min(signed, delivered + lost + inFlight)
}

/** The most that is believed to have been charged, when more is to be signed on top of it. */
export function believable(tally: Tally, most: bigint): bigint {
  return bound({ ...tally, lost: min(tally.lost, most) })
}

/** Makes room for a request: the cumulative amount to sign, or `undefined` when the deposit doesn't hold it. */
export function reserve(tally: Tally, quote: bigint): { tally: Tally; amount: bigint } | undefined {
  const inFlight = tally.inFlight + quote
  const amount = tally.charged + inFlight
  if (amount > tally.deposit) return undefined
  return { tally: { ...tally, inFlight, signed: max(tally.signed, amount) }, amount }
}

/**
 * An answer told its cost and the channel's total. More than the quote is not believed, nor more than was lost or than
 * `most` of it.
 */
export function settle(
  tally: Tally,
  quote: bigint,
  reported: { cost: bigint; total: bigint },
  most: bigint,
): Tally {
  const inFlight = tally.inFlight - quote
  const cost = min(reported.cost, quote)
  const delivered = tally.delivered + cost
  // The total may include requests that are still under way here; these keep their own reservation.
  const believed = min(reported.total, believable({ ...tally, delivered, inFlight }, most)) - inFlight
  return { ...tally, inFlight, delivered, charged: max(tally.charged + cost, believed) }
}

/**
 * An answer was given again that had been charged before and was lost on the way: it told no cost, only the channel's
 * total. What that rose by is taken for its cost, up to its quote; what other requests under way may have raised it by is
 * not, and the rest of the quote counts as lost.
 */
export function settleRepeat(tally: Tally, quote: bigint, total: bigint, most: bigint): Tally {
  const others = tally.inFlight - quote
  const cost = min(max(total - tally.charged - others, 0n), quote)
  const lost = others > 0n ? tally.lost + quote - cost : tally.lost
  return settle({ ...tally, lost }, quote, { cost, total }, most)
}

/** A paid request ended without telling its cost: nothing more is signed for it, and it may have been charged. */
export function lose(tally: Tally, quote: bigint): Tally {
  return { ...tally, inFlight: tally.inFlight - quote, lost: tally.lost + quote }
}

/**
 * The caller left a stream of which something had come: all that was granted for it may rightly have been charged. How much
 * was, the next total tells.
 */
export function leave(tally: Tally, quote: bigint): Tally {
  return { ...tally, inFlight: tally.inFlight - quote, delivered: tally.delivered + quote }
}

/** A request was refused, or never sent. */
export function release(tally: Tally, quote: bigint): Tally {
  return { ...tally, inFlight: tally.inFlight - quote }
}

/**
 * The provider says a voucher must cover `required` in all, of which `quote` is for this request (reserved here with
 * `reserved`). The amount to sign then, or why not: it can't have charged that, or more than `most` of it would be for
 * requests without an answer, or the deposit doesn't hold it.
 */
export function reconcile(
  tally: Tally,
  reserved: bigint,
  quote: bigint,
  required: bigint,
  most: bigint,
): { tally: Tally; amount: bigint } | 'unbelievable' | 'undelivered' | 'exhausted' {
  const others = tally.inFlight - reserved
  const before = required - quote
  const without = { ...tally, inFlight: others }
  if (before > bound(without)) return 'unbelievable'
  if (before > believable(without, most)) return 'undelivered'
  const charged = max(tally.charged, before - others)
  return reserve({ ...tally, charged, inFlight: others }, quote) ?? 'exhausted'
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
