/**
 * USDC amounts: `bigint` base units inside (6 decimals, `1_000_000n` = 1 USDC), decimal strings at the edges.
 */
import { InvalidAmountError } from './Errors.ts'

/** Decimals of USDC. */
export const decimals = 6

/** The largest amount the contract can hold in one channel, in base units. */
export const maxChannelAmount = 2n ** 64n - 1n

/**
 * Base units of a decimal string. Refuses what it cannot represent: signs, exponents, separators and fractions
 * below 0.000001 are errors, never rounded.
 *
 * @example
 * ```ts
 * Usdc.parse('10.50') // 10_500_000n
 * ```
 * @throws {InvalidAmountError}
 */
export function parse(value: string): bigint {
  return parseDecimal(value, decimals)
}

/**
 * Shortest decimal string of an amount in base units.
 *
 * @example
 * ```ts
 * Usdc.format(10_500_000n) // '10.5'
 * ```
 */
export function format(amount: bigint): string {
  return formatDecimal(amount, decimals)
}

/**
 * An amount as people read it, with all six decimals and the unit.
 *
 * @example
 * ```ts
 * Usdc.display(4_200n) // '0.004200 USDC'
 * ```
 */
export function display(amount: bigint): string {
  const sign = amount < 0n ? '-' : ''
  const digits = (amount < 0n ? -amount : amount).toString().padStart(decimals + 1, '0')
  return `${sign}${digits.slice(0, -decimals)}.${digits.slice(-decimals)} USDC`
}

/**
 * A decimal string as an integer with `places` implied decimals, exactly.
 *
 * @throws {InvalidAmountError}
 * @internal
 */
export function parseDecimal(value: string, places: number): bigint {
  const advice = `Write a plain decimal number of USDC with at most ${places} decimals, such as '0.25'.`
  if (typeof value !== 'string') throw new InvalidAmountError(value, 'it is not a string', advice)
  const match = /^(0|[1-9][0-9]*)(?:\.([0-9]+))?$/.exec(value)
  if (!match || value.length > 96)
    throw new InvalidAmountError(value, 'it is not a plain decimal number', advice)
  const fraction = (match[2] ?? '').replace(/0+$/, '')
  if (fraction.length > places) {
    throw new InvalidAmountError(value, `it has more than ${places} decimals`, advice)
  }
  const amount = BigInt(`${match[1]}${fraction.padEnd(places, '0')}`)
  if (amount >= 2n ** 256n) throw new InvalidAmountError(value, 'it is larger than a token can hold', advice)
  return amount
}

/** @internal */
export function formatDecimal(amount: bigint, places: number): string {
  const sign = amount < 0n ? '-' : ''
  const digits = (amount < 0n ? -amount : amount).toString().padStart(places + 1, '0')
  const fraction = digits.slice(-places).replace(/0+$/, '')
  return `${sign}${digits.slice(0, -places)}${fraction ? `.${fraction}` : ''}`
}
