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
  /** What one claim costs in gas, in a batch or alone. */
  cost: bigint
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

/** Why a channel is claimed at `now`; `dust` when it would be, were it worth its gas. */
export function judge(
  state: ChannelState,
  { now, threshold, minPayout, cost }: Worth & { now: bigint },
): Reason | 'dust' | undefined {
  const amount = owed(state)
  if (state.status === 'closed' || amount === 0n) return undefined
  const reason = isExpiring(state, now) ? 'expiring' : state.finalAmount === undefined ? undefined : 'closing'
  if (reason) return amount >= minPayout && amount > cost ? reason : 'dust'
  return amount >= threshold && amount >= timesCost * cost ? 'threshold' : undefined
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
