/** What a client may spend. Checked before anything is signed. */
import { DrainError, Duration, LimitExceededError, Usdc } from '@drain/core'

/** The caller's limits, in decimal USDC. */
export type LimitOptions = {
  /** The most that one request may cost. */
  perRequest: string
  /** The most that is deposited in one channel. */
  perChannel: string
  /**
   * The most that one provider may hold or have kept without delivering: what is left of the deposits of its channels
   * until they are closed, and what closed ones paid it beyond what was delivered. What was delivered doesn't count, so
   * used-up channels block nothing. Twice `perChannel` by default.
   */
  perProvider?: string | undefined
  /** The most that vouchers may newly promise on one UTC day, to all providers. Twice `perChannel` by default. */
  perDay?: string | undefined
  /**
   * The most that a provider is believed to have charged on one channel for requests that ended without telling their
   * cost (errors, lost connections, cancelled streams). No voucher exceeds what was delivered, this, and the prices of the
   * requests under way. Beyond it the channel is to be closed. Three times `perRequest` by default.
   */
  undelivered?: string | undefined
  /** The longest that a channel may run and so lock its deposit; `'24h'` by default. */
  duration?: string | number | undefined
}

/** The same in base units and seconds. */
export type Limits = {
  perRequest: bigint
  perChannel: bigint
  perProvider: bigint
  perDay: bigint
  undelivered: bigint
  duration: bigint
}

/**
 * @throws {DrainError} `limits_missing`
 * @throws {InvalidAmountError | InvalidDurationError}
 */
export function parse(options: LimitOptions | undefined): Limits {
  const given = options ?? ({} as Partial<LimitOptions>)
  if (given.perRequest === undefined || given.perChannel === undefined) {
    throw new DrainError('limits_missing', 'A client that pays by itself needs limits.', {
      action: "Pass limits, in USDC, such as { perRequest: '0.05', perChannel: '5', perDay: '10' }.",
    })
  }
  const { perProvider, perDay, undelivered, duration = '24h' } = given
  const perRequest = Usdc.parse(given.perRequest)
  const perChannel = Usdc.parse(given.perChannel)
  return {
    perRequest,
    perChannel,
    perProvider: perProvider === undefined ? 2n * perChannel : Usdc.parse(perProvider),
    perDay: perDay === undefined ? 2n * perChannel : Usdc.parse(perDay),
    undelivered: undelivered === undefined ? 3n * perRequest : Usdc.parse(undelivered),
    duration: Duration.parse(duration),
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
  if (raise <= 0n || today + raise <= limits.perDay) return
  throw new LimitExceededError(
    'perDay',
    `This would make it ${Usdc.display(today + raise)} today, the limit per day is ${Usdc.display(limits.perDay)}.`,
    'Raise limits.perDay, or wait for the next day (UTC).',
  )
}
