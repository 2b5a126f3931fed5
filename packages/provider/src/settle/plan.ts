/** Which channels are to be claimed, and when. Pure. */
import { Deployment } from '@drain/core'
import type { ChannelState, LedgerVoucher } from '../ledger/Ledger.ts'
import * as Terms from '../verify/Terms.ts'

/** Why a channel is claimed now. */
export type Reason = 'expiring' | 'closing' | 'threshold'

/** From what amounts on a claim is made. Base units. */
export type Worth = {
  /** Unclaimed on a channel that runs. */
  threshold: bigint
  /** What a claim must bring, though its channel is about to end. */
  minPayout: bigint
  cost: ClaimCost
}

/** What claims cost. Base units. */
export type ClaimCost = {
  /** Of a transaction, whatever it claims. */
  fixed: bigint
  /** Of each channel in it besides. */
  each: bigint
  /** What the contract keeps of a payout, in basis points. */
  feeBps: bigint
}

/** A running channel's claim brings at least this many times its gas. */
const timesCost = 10n

/** What was charged, less what was claimed, or is on its way. */
export function owed({ charged, claimed, claiming }: ChannelState): bigint {
  const taken = claiming > claimed ? claiming : claimed
  return charged > taken ? charged - taken : 0n
}

/** Whether a claim is announced that isn't booked: on its way, or left behind by a process that died. */
export function isUnderWay({ claimed, claiming }: ChannelState): boolean {
  return claiming > claimed
}

/** Whether a channel is so close to its expiry that it isn't served any more. `now`: Unix seconds. */
export function isExpiring(state: ChannelState, now: bigint): boolean {
  return now >= state.expiry - Terms.expiryMargin({ ...state, id: state.channelId }, state.firstSeen)
}

/** Whether a channel should have been claimed before: three rounds fit into its margin, and the first has had its turn. */
export function isOverdue(state: ChannelState, now: bigint): boolean {
  const margin = Terms.expiryMargin({ ...state, id: state.channelId }, state.firstSeen)
  return state.status !== 'closed' && now >= state.expiry - (margin * 2n) / 3n
}

/** Why a channel is claimed at `now`, together with others; `dust` when it would be, were it worth its own gas. */
export function judge(
  state: ChannelState,
  { now, threshold, minPayout, cost }: Worth & { now: bigint },
): Reason | 'dust' | undefined {
  const amount = owed(state)
  if (state.status === 'closed' || amount === 0n) return undefined
  const reason = isExpiring(state, now) ? 'expiring' : state.finalAmount === undefined ? undefined : 'closing'
  const paid = paidOut(amount, cost.feeBps)
  if (reason) return amount >= minPayout && paid > cost.each ? reason : 'dust'
  return amount >= threshold && paid >= timesCost * cost.each ? 'threshold' : undefined
}

/** What arrives of `amount`, without the contract's fee. */
export const paidOut = (amount: bigint, feeBps: bigint): bigint => amount - (amount * feeBps) / 10_000n

/**
 * Whether what channels have, together, is worth one transaction: several times its cost while they run; any more than that for
 * those that are about to end. `ends` are some of `all`. Base units.
 */
export function isWorthIt(
  all: { count: number; amount: bigint },
  ends: { count: number; amount: bigint },
  cost: ClaimCost,
): boolean {
  const costOf = (count: number) => cost.fixed + BigInt(count) * cost.each
  if (ends.count > 0 && paidOut(ends.amount, cost.feeBps) > costOf(ends.count)) return true
  return all.count > 0 && paidOut(all.amount, cost.feeBps) >= timesCost * costOf(all.count)
}

/** A voucher, and what to take of it: cumulative, base units. */
export type Claim = { voucher: LedgerVoucher; payAmount: bigint }

/** The most that can be claimed without taking more than was charged. */
export function chargedClaim(
  { highest, claimable, charged }: ChannelState,
  deployment: Deployment.Deployment,
): Claim | undefined {
  if (highest && Deployment.has(deployment, 'claimBatch')) return { voucher: highest, payAmount: charged }
  return claimable && { voucher: claimable, payAmount: claimable.amount }
}

/** What was booked as claimed, to be claimed again. Never more, and less where only whole signed amounts can be claimed. */
export function bookedClaim(
  { highest, claimable, claimed }: ChannelState,
  deployment: Deployment.Deployment,
): Claim | undefined {
  if (highest && highest.amount >= claimed && Deployment.has(deployment, 'claimBatch'))
    return { voucher: highest, payAmount: claimed }
  const voucher = [highest, claimable].find((kept) => kept && kept.amount <= claimed)
  return voucher && { voucher, payAmount: voucher.amount }
}

/**
 * The last way to be paid on contracts that pay only whole signed amounts: a voucher of exactly what was charged, else the highest,
 * which may be more. What that takes too much is what the consumer signed too much. It could have closed for less, with our
 * signature; were nothing claimed above that, who signs the whole deposit once, asks for the signature and doesn't use it would
 * have everything for nothing.
 */
export function signedClaim({ highest, claimable, charged }: ChannelState): Claim | undefined {
  const voucher = claimable?.amount === charged ? claimable : highest
  return voucher && { voucher, payAmount: voucher.amount }
}
