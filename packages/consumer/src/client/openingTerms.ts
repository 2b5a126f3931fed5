import { Duration, LimitExceededError, PaymentRejectedError, Usdc } from '@drain/core'
import type { Limits } from './Limits.ts'
import type { Terms } from './PriceList.ts'

/** Ten minutes: a shorter channel would be opened again and again, and every opening costs gas. In seconds. */
const usefulDuration = 600n

/** How many requests at the quoted price a deposit is meant for. */
const requestsPerChannel = 1_000n

/** A day: how long a channel runs when the provider recommends nothing. */
const usualDuration = 86_400n

/**
 * Deposit and duration of the next channel: enough for a thousand requests, at least what the provider wants, within the
 * limits. Pure.
 *
 * @throws {LimitExceededError} When the limits leave too little for this request or for the provider's terms.
 */
export function openingTerms(given: {
  /** What the request at hand may cost. */
  quote: bigint
  terms: Terms
  limits: Limits
  /** What this provider holds or has kept already, as `limits.perProvider` counts it. */
  committed: bigint
  /** What the caller asks for: base units and seconds. */
  wish?: { amount?: bigint | undefined; duration?: bigint | undefined } | undefined
  /** Whether the provider sends the opening, at its own cost. */
  relayed?: boolean | undefined
}): { deposit: bigint; duration: bigint } {
  const { quote, terms, limits, committed, wish = {}, relayed = false } = given
  const room = max(limits.perProvider - committed, 0n)
  const isProviderLimit = room < limits.perChannel
  const most = isProviderLimit ? room : limits.perChannel
  const asked = max(terms.minDeposit ?? 0n, (relayed && terms.minRelayed) || 0n)
  assertWish(wish, asked, terms)
  const least = max(wish.amount ?? quote, asked)
  const wanted = wish.amount ?? quote * requestsPerChannel
  const deposit = min(max(wanted, least), min(most, Usdc.maxChannelAmount))
  if (deposit < least || deposit === 0n) {
    throw isProviderLimit
      ? new LimitExceededError(
          'perProvider',
          `A channel needs ${Usdc.display(least)}; of the limit per provider, ${Usdc.display(limits.perProvider)}, ${Usdc.display(most)} is left.`,
          'Close channels of this provider (client.closeAll), or raise limits.perProvider.',
        )
      : new LimitExceededError(
          'perChannel',
          `A channel needs ${Usdc.display(least)}, the limit per channel is ${Usdc.display(limits.perChannel)}.`,
          'Raise limits.perChannel.',
        )
  }

  const longest = min(limits.duration, Duration.max)
  const shortest = max(terms.minDuration ?? 0n, wish.duration ?? min(usefulDuration, longest))
  if (shortest > longest) {
    throw new LimitExceededError(
      'duration',
      `${wish.duration ? 'The channel is to run for' : 'The provider wants channels of'} at least ${Duration.format(shortest)}, the limit is ${Duration.format(longest)}.`,
      'Raise limits.duration.',
    )
  }
  const usual = min(terms.recommendedDuration ?? usualDuration, terms.maxDuration ?? Duration.max)
  return { deposit, duration: max(min(wish.duration ?? usual, longest), shortest) }
}

/** The caller gets what it asks for, or hears why not. */
function assertWish(
  { amount, duration }: { amount?: bigint | undefined; duration?: bigint | undefined },
  least: bigint,
  { minDuration = 0n, maxDuration = Duration.max }: Terms,
): void {
  const refuse = (problem: string, action: string) => {
    throw new PaymentRejectedError('channel_terms', problem, action)
  }
  if (amount !== undefined && amount < least) {
    refuse(
      `The provider wants deposits of at least ${Usdc.display(least)}.`,
      'Ask for that much, or leave the amount out.',
    )
  }
  if (duration !== undefined && (duration < minDuration || duration > maxDuration)) {
    const [shortest, longest] = [minDuration, maxDuration].map(Duration.format)
    refuse(
      `The provider wants channels of ${shortest} to ${longest}.`,
      'Ask for one of these, or leave the duration out.',
    )
  }
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
