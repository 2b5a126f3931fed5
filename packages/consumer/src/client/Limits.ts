/** What a client may spend. Checked before anything is signed. */
import { DrainError, Duration, LimitExceededError, Usdc } from '@drain/core'

/** The caller's limits, in decimal USDC. */
export type LimitOptions = {
  /** The most that one request may cost. */
  perRequest: string
  /** The most that is deposited in one channel. */
  perChannel: string
  /** The most that one provider may hold or have taken: deposits of its open channels, and what closed ones paid it. */
  perProvider?: string | undefined
  /** The most that vouchers may newly promise on one UTC day, to all providers. */
  perDay?: string | undefined
  /** The longest that a channel may run and so lock its deposit; `'24h'` by default. */
  duration?: string | number | undefined
}

/** The same in base units and seconds. */
export type Limits = {
  perRequest: bigint
  perChannel: bigint
  perProvider: bigint | undefined
  perDay: bigint | undefined
  duration: bigint
}

/**
 * @throws {DrainError} `limits_missing`
 * @throws {InvalidAmountError | InvalidDurationError}
 */
export function parse(options: LimitOptions | undefined): Limits {
  const { perRequest, perChannel, perProvider, perDay, duration } = options ?? ({} as Partial<LimitOptions>)
  if (perRequest === undefined || perChannel === undefined) {
    throw new DrainError('limits_missing', 'A client that pays by itself needs limits.', {
      action: "Pass limits, in USDC, such as { perRequest: '0.05', perChannel: '5', perDay: '10' }.",
    })
  }
  return {
    perRequest: Usdc.parse(perRequest),
    perChannel: Usdc.parse(perChannel),
    perProvider: perProvider === undefined ? undefined : Usdc.parse(perProvider),
    perDay: perDay === undefined ? undefined : Usdc.parse(perDay),
    duration: Duration.parse(duration ?? '24h'),
  }
}

/** @throws {LimitExceededError} */
export function assertRequest(limits: Limits, quote: bigint): void {
  if (quote <= limits.perRequest) return
  throw new LimitExceededError(
    'perRequest',
    `This request may cost ${Usdc.display(quote)}, the limit per request is ${Usdc.display(limits.perRequest)}.`,
    'Raise limits.perRequest, or ask for less (a lower max_tokens, say).',
  )
}

/**
 * @param today What vouchers newly promised today.
 * @param raise What the next one adds.
 * @throws {LimitExceededError}
 */
export function assertDay(limits: Limits, today: bigint, raise: bigint): void {
  if (limits.perDay === undefined || raise <= 0n || today + raise <= limits.perDay) return
  throw new LimitExceededError(
    'perDay',
    `This would make it ${Usdc.display(today + raise)} today, the limit per day is ${Usdc.display(limits.perDay)}.`,
    'Raise limits.perDay, or wait for the next day (UTC).',
  )
}
