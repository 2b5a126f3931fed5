/** What this wallet has put into channels, in base units, as the limits count it, and how much of it they allow. Pure but for the view. */
import { LimitExceededError, Usdc } from '@drain/core'
import { type Address, isAddressEqual } from 'viem'
import type { View } from './Book.ts'
import type { Limits } from './Limits.ts'

/** What a provider holds of deposits or has kept, without what it delivered, and what may be on its way to it. */
export function to(provider: Address, view: View): bigint {
  let sum = 0n
  for (const { provider: one, state, finalAmount, tally } of view.list('channel')) {
    if (!isAddressEqual(one, provider)) continue
    const held = state === 'closed' ? (finalAmount ?? tally.signed) : tally.deposit
    if (held > tally.delivered) sum += held - tally.delivered
  }
  for (const opening of view.list('opening')) {
    if (isAddressEqual(opening.provider, provider)) sum += opening.amount
  }
  return sum
}

/** What is locked with all providers: deposits without what was charged, and those that are on their way. */
export function locked(view: View): bigint {
  let sum = 0n
  for (const { state, tally } of view.list('channel')) {
    if (state !== 'closed') sum += tally.deposit - tally.charged
  }
  for (const { amount } of view.list('opening')) sum += amount
  return sum
}

/**
 * @param committed What the provider holds or has kept already. @param deposit What the next channel adds.
 * @throws {LimitExceededError}
 */
export function assertProvider(limits: Limits, committed: bigint, deposit: bigint): void {
  if (committed + deposit <= limits.perProvider) return
  throw new LimitExceededError(
    'perProvider',
    `With this the provider would hold ${Usdc.display(committed + deposit)}, the limit per provider is ${Usdc.display(limits.perProvider)}.`,
    'Close channels of this provider (client.closeAll), or raise limits.perProvider.',
  )
}

/**
 * @param committed What is locked, or on its way there. @param deposit What the next channel adds.
 * @throws {LimitExceededError}
 */
export function assertLocked(limits: Limits, committed: bigint, deposit: bigint): void {
  if (committed + deposit <= limits.locked) return
  throw new LimitExceededError(
    'locked',
    `This would lock ${Usdc.display(committed + deposit)} in channels at once, the limit is ${Usdc.display(limits.locked)}.`,
    'Close channels that are not needed (client.close), or raise limits.locked.',
  )
}
