/** What channels a provider serves, and for how long before their expiry. */
import { type Channel, Duration, type Rejection, Usdc } from '@drain/core'

/** Amounts in base units, durations in seconds. */
export type Terms = {
  minDeposit: bigint
  /** What a channel must still have before it when it is first used. */
  minDuration: bigint
  recommendedDuration: bigint
  maxDuration: bigint
}

/** As an operator writes them: USDC and durations as strings. */
export type TermsInput = { [name in keyof Terms]?: string | undefined }

/** @throws {InvalidAmountError | InvalidDurationError} */
export function fromInput(input: TermsInput = {}): Terms {
  return {
    minDeposit: Usdc.parse(input.minDeposit ?? '0.1'),
    minDuration: Duration.parse(input.minDuration ?? '30m'),
    recommendedDuration: Duration.parse(input.recommendedDuration ?? '24h'),
    maxDuration: Duration.parse(input.maxDuration ?? '365d'),
  }
}

/** As `GET /v1/pricing` lists them: USDC, seconds. */
export function toJson(terms: Terms) {
  return {
    minDeposit: Usdc.format(terms.minDeposit),
    minDuration: Number(terms.minDuration),
    recommendedDuration: Number(terms.recommendedDuration),
    maxDuration: Number(terms.maxDuration),
  }
}

/** The longest time before its expiry in which a channel is not served, in seconds. */
export const longestMargin = 3_600n

/** Seconds before its expiry in which a channel is not served: an hour or a tenth of its time, whichever is less. */
export function expiryMargin(channel: Channel.Channel, firstSeen: bigint): bigint {
  const tenth = (channel.expiry - firstSeen) / 10n
  return tenth < longestMargin ? tenth : longestMargin
}

/**
 * Whether a channel may be served at `now`. `firstSeen` is when the ledger first accepted it, `undefined` for a channel it
 * does not know yet: terms are judged then, and never held against a running channel.
 */
export function judge(
  terms: Terms,
  channel: Channel.Channel,
  firstSeen: bigint | undefined,
  now: bigint,
): Rejection.Rejection | undefined {
  if (now >= channel.expiry - expiryMargin(channel, firstSeen ?? now)) {
    return { code: 'channel_expired', message: 'This channel is about to expire. Open a new one.' }
  }
  if (firstSeen !== undefined) return undefined
  if (channel.deposit < terms.minDeposit) {
    const [has, needs] = [Usdc.display(channel.deposit), Usdc.display(terms.minDeposit)]
    return {
      code: 'channel_terms',
      message: `The channel holds ${has}, this provider asks for at least ${needs}.`,
    }
  }
  const left = channel.expiry - now
  if (left < terms.minDuration || left > terms.maxDuration) {
    const range = `${Duration.format(terms.minDuration)} to ${Duration.format(terms.maxDuration)}`
    return {
      code: 'channel_terms',
      message: `The channel runs for another ${Duration.format(left)}, this provider serves channels of ${range}.`,
    }
  }
  return undefined
}
