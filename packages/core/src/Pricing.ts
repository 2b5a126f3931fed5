/**
 * Prices of a service and what a use of it costs.
 *
 * A `Rate` is an exact price in 10^-18 USDC, so that a price per 1,000 tokens below one base unit, and a margin on
 * top of it, lose nothing. Money is rounded once, up, when a cost is computed.
 */
import { InvalidAmountError, InvalidFormatError } from './Errors.ts'
import { formatDecimal, parseDecimal } from './Usdc.ts'

const ratePlaces = 18
/** Rate units in one USDC base unit. */
const ratePerBaseUnit = 10n ** 12n

/** An exact price in 10^-18 USDC. */
export type Rate = bigint

/** Price per 1,000 input and output tokens. `defaultMaxTokens` is what a request without `max_tokens` is quoted for. */
export type Tokens = { type: 'tokens'; inputPer1k: Rate; outputPer1k: Rate; defaultMaxTokens: number }
/** One price per request. */
export type Flat = { type: 'flat'; price: Rate }
/** A price per unit of something: an image, a page, a kilobyte. */
export type Unit = { type: 'unit'; unit: string; price: Rate }
/** A price per minute, charged by the millisecond. */
export type Minute = { type: 'minute'; price: Rate }

export type Pricing = Tokens | Flat | Unit | Minute

/** What was used; the field that the pricing's type asks for must be there. */
export type Usage = {
  inputTokens?: number | bigint
  outputTokens?: number | bigint
  units?: number | bigint
  milliseconds?: number | bigint
}

/** What a request without `max_tokens` is quoted for when the provider states nothing else. */
export const fallbackMaxTokens = 1_024

/**
 * A rate from decimal USDC. Up to 14 decimals; more is refused.
 *
 * @throws {InvalidAmountError}
 */
export function parseRate(usdc: string): Rate {
  return parseDecimal(usdc, 14) * 10n ** 4n
}

/** The decimal USDC string of a rate. */
export function formatRate(rate: Rate): string {
  return formatDecimal(rate, ratePlaces)
}

/**
 * Price per token, given per 1,000 tokens in USDC.
 *
 * @example
 * ```ts
 * Pricing.perToken({ inputPer1k: '0.0025', outputPer1k: '0.01' })
 * ```
 * @throws {InvalidAmountError}
 */
export function perToken(options: {
  inputPer1k: string
  outputPer1k: string
  defaultMaxTokens?: number
}): Tokens {
  const defaultMaxTokens = options.defaultMaxTokens ?? fallbackMaxTokens
  if (!Number.isSafeInteger(defaultMaxTokens) || defaultMaxTokens < 1) {
    throw new InvalidAmountError(
      defaultMaxTokens,
      'defaultMaxTokens is not a positive whole number',
      'Use 1024, say.',
    )
  }
  return {
    type: 'tokens',
    inputPer1k: parseRate(options.inputPer1k),
    outputPer1k: parseRate(options.outputPer1k),
    defaultMaxTokens,
  }
}

/** One price per request, in USDC. @throws {InvalidAmountError} */
export function flat(price: string): Flat {
  return { type: 'flat', price: parseRate(price) }
}

/** A price per unit, in USDC. @throws {InvalidAmountError} */
export function perUnit(price: string, unit: string): Unit {
  return { type: 'unit', unit, price: parseRate(price) }
}

/** A price per minute, in USDC. @throws {InvalidAmountError} */
export function perMinute(price: string): Minute {
  return { type: 'minute', price: parseRate(price) }
}

/**
 * The same pricing with a margin on top, exactly: `2_000` basis points are 20 %.
 *
 * @throws {InvalidAmountError} When the margin is no whole number of basis points, or the result is finer than a rate.
 */
export function withMarkup<const pricing extends Pricing>(pricing: pricing, basisPoints: number): pricing {
  if (!Number.isSafeInteger(basisPoints) || basisPoints < 0 || basisPoints > 1_000_000) {
    throw new InvalidAmountError(
      basisPoints,
      'a markup is a whole number of basis points',
      'Use 2000 for 20 %.',
    )
  }
  const raise = (rate: Rate): Rate => {
    const scaled = rate * BigInt(10_000 + basisPoints)
    if (scaled % 10_000n !== 0n) {
      throw new InvalidAmountError(
        formatRate(rate),
        'a price with this markup has too many decimals',
        'Round the price.',
      )
    }
    return scaled / 10_000n
  }
  return (
    pricing.type === 'tokens'
      ? { ...pricing, inputPer1k: raise(pricing.inputPer1k), outputPer1k: raise(pricing.outputPer1k) }
      : { ...pricing, price: raise(pricing.price) }
  ) as pricing
}

/**
 * What a use costs, in base units, rounded up once.
 *
 * @throws {InvalidAmountError} When the usage lacks what the pricing counts, or is negative or fractional.
 */
export function cost(pricing: Pricing, usage: Usage = {}): bigint {
  switch (pricing.type) {
    case 'tokens': {
      const input = count(usage.inputTokens, 'inputTokens') * pricing.inputPer1k
      const output = count(usage.outputTokens, 'outputTokens') * pricing.outputPer1k
      return divideUp(input + output, 1_000n * ratePerBaseUnit)
    }
    case 'flat':
      return divideUp(pricing.price, ratePerBaseUnit)
    case 'unit':
      return divideUp(count(usage.units, 'units') * pricing.price, ratePerBaseUnit)
    case 'minute':
      return divideUp(count(usage.milliseconds, 'milliseconds') * pricing.price, 60_000n * ratePerBaseUnit)
  }
}

/** A pricing as `GET /v1/pricing` lists it: decimal USDC strings. */
export type Json = {
  inputPer1kTokens: string
  outputPer1kTokens: string
  type?: Pricing['type']
  unit?: string
  pricePerUnit?: string
  defaultMaxTokens?: number
}

/** The listed form. A flat price is `inputPer1kTokens` with `outputPer1kTokens: "0"`. */
export function toJson(pricing: Pricing): Json {
  if (pricing.type === 'tokens') {
    return {
      type: 'tokens',
      inputPer1kTokens: formatRate(pricing.inputPer1k),
      outputPer1kTokens: formatRate(pricing.outputPer1k),
      defaultMaxTokens: pricing.defaultMaxTokens,
    }
  }
  const price = formatRate(pricing.price)
  const listed = { type: pricing.type, inputPer1kTokens: price, outputPer1kTokens: '0' } as const
  if (pricing.type === 'flat') return listed
  return { ...listed, unit: pricing.type === 'unit' ? pricing.unit : 'minute', pricePerUnit: price }
}

/**
 * A pricing from its listed form. Lists of other providers without a `type` are read as prices per token, or as flat
 * when the output costs nothing, as the original marketplace wrote them.
 *
 * @throws {InvalidFormatError | InvalidAmountError}
 */
export function fromJson(json: unknown): Pricing {
  if (typeof json !== 'object' || json === null)
    throw new InvalidFormatError('pricing', 'it is not an object')
  const { type, inputPer1kTokens, outputPer1kTokens, unit, defaultMaxTokens } = json as Record<
    string,
    unknown
  >
  if (typeof inputPer1kTokens !== 'string' || typeof outputPer1kTokens !== 'string') {
    throw new InvalidFormatError('pricing', 'inputPer1kTokens and outputPer1kTokens must be decimal strings')
  }
  const input = parseWireRate(inputPer1kTokens)
  const output = parseWireRate(outputPer1kTokens)
  switch (type ?? (output === 0n ? 'flat' : 'tokens')) {
    case 'tokens':
      return {
        type: 'tokens',
        inputPer1k: input,
        outputPer1k: output,
        defaultMaxTokens:
          Number.isSafeInteger(defaultMaxTokens) && (defaultMaxTokens as number) > 0
            ? (defaultMaxTokens as number)
            : fallbackMaxTokens,
      }
    case 'flat':
      return { type: 'flat', price: input }
    case 'unit':
      return { type: 'unit', unit: typeof unit === 'string' ? unit : 'unit', price: input }
    case 'minute':
      return { type: 'minute', price: input }
    default:
      throw new InvalidFormatError('pricing', `type ${JSON.stringify(type)} is unknown`)
  }
}

/** Listed rates may carry a markup's four decimals beyond those a person writes. */
function parseWireRate(usdc: string): Rate {
  return parseDecimal(usdc, ratePlaces)
}

function count(value: number | bigint | undefined, name: string): bigint {
  if (typeof value === 'bigint' ? value >= 0n : Number.isSafeInteger(value) && (value as number) >= 0) {
    return BigInt(value as number | bigint)
  }
  throw new InvalidAmountError(
    value,
    `${name} is not a whole number`,
    `Report ${name} as the upstream counted it.`,
  )
}

function divideUp(value: bigint, by: bigint): bigint {
  return (value + by - 1n) / by
}
