/** Durations: whole seconds inside, `'24h'` at the edges. */
import { InvalidDurationError } from './Errors.ts'

/** The longest a channel may run, in seconds (365 days; `MAX_DURATION` of the contract). */
export const max = 365n * 86_400n

const secondsPerUnit = { s: 1n, m: 60n, h: 3_600n, d: 86_400n } as const

/**
 * Seconds of a duration: a whole number of seconds, or a whole number with a unit (`s`, `m`, `h`, `d`).
 *
 * @example
 * ```ts
 * Duration.parse('24h') // 86_400n
 * ```
 * @throws {InvalidDurationError} Zero, negative, fractional or unreadable durations.
 */
export function parse(value: number | bigint | string): bigint {
  const seconds = toSeconds(value)
  if (seconds === undefined || seconds <= 0n || seconds >= 2n ** 63n) throw new InvalidDurationError(value)
  return seconds
}

function toSeconds(value: number | bigint | string): bigint | undefined {
  if (typeof value === 'bigint') return value
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : undefined
  const match = /^([0-9]{1,18})([smhd])?$/.exec(String(value))
  if (!match) return undefined
  return BigInt(match[1] ?? '') * secondsPerUnit[(match[2] ?? 's') as keyof typeof secondsPerUnit]
}

/**
 * A duration as people read it, in its two largest units.
 *
 * @example
 * ```ts
 * Duration.format(90_000n) // '1d 1h'
 * ```
 */
export function format(seconds: bigint): string {
  const parts: string[] = []
  let rest = seconds
  for (const [unit, size] of [
    ['d', 86_400n],
    ['h', 3_600n],
    ['m', 60n],
    ['s', 1n],
  ] as const) {
    if (rest >= size) parts.push(`${rest / size}${unit}`)
    rest %= size
  }
  return parts.slice(0, 2).join(' ') || '0s'
}
