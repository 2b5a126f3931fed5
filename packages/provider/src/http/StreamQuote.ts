/**
 * What a metered stream may cost, in base units. It is reserved and charged in steps: a voucher that covers `first` is enough
 * to begin, and is topped up while the stream runs.
 */
export type StreamQuote = {
  /** At most, in all. It is what a request without a voucher is told. */
  most: bigint
  /** What must be covered before the work begins: the input, say, and the first step of the output. */
  first: bigint
  /** How much is reserved ahead of what was charged, about. Default: a sixteenth of what comes after `first`. */
  step?: bigint | undefined
}

/** What a request may cost at most, in base units, or how a stream is charged in steps. */
export type RequestQuote = bigint | StreamQuote

/** A quote in full. One that isn't charged in steps is reserved whole. */
export function inSteps(quote: RequestQuote): Required<StreamQuote> & { step: bigint } {
  if (typeof quote === 'bigint') return { most: quote, first: quote, step: quote }
  const { most } = quote
  const first = quote.first < most ? quote.first : most
  return { most, first, step: quote.step ?? (most - first + 15n) / 16n }
}
