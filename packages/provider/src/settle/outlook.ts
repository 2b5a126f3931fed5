/** What is under way, at risk and next, of the channels that owe something. */
import type { Hex } from 'viem'
import type { ChannelState, Ledger } from '../ledger/Ledger.ts'
import * as Terms from '../verify/Terms.ts'
import { isOverdue, isWorthIt, judge, owed, type Reason, type Worth } from './plan.ts'

/** Base units. */
export type Outlook = {
  /** In transactions that aren't final yet. */
  claiming: bigint
  /** Of channels so close to their expiry that it should have been claimed before. */
  atRisk: bigint
  /** Of channels that are about to end, and not worth its gas. */
  dust: bigint
  /** How many channels are claimed next, and why. */
  due: Record<Reason, number>
  /** The most urgent of them first, as many as are shown. `expiry`: Unix seconds. */
  next: { channelId: Hex; amount: bigint; reason: Reason; expiry: bigint }[]
}

const shown = 20

/**
 * @param options.underWay The channels that unsettled transactions take from.
 * @param options.now Unix seconds.
 */
export async function readOutlook(options: {
  ledger: Pick<Ledger, 'channels'>
  underWay: ReadonlySet<Hex>
  worth: Worth
  now: bigint
}): Promise<Outlook> {
  const { ledger, underWay, worth, now } = options
  const outlook: Outlook = { claiming: 0n, atRisk: 0n, dust: 0n, due: noneDue(), next: [] }
  // What is due is claimed in one transaction, and may be worth that only together.
  const [all, ends] = [
    { count: 0, amount: 0n },
    { count: 0, amount: 0n },
  ]
  let overdue = 0n
  const soon = { unclaimed: worth.threshold, expiry: now + Terms.longestMargin }
  // What is under way may be of channels that weren't due, but for the operator.
  const due = underWay.size > 0 ? undefined : soon
  for await (const state of ledger.channels({ unclaimedOver: 0n, due })) {
    const isMoving = underWay.has(state.channelId)
    if (isMoving) outlook.claiming += state.charged - state.claimed - owed(state)
    const left = isMoving ? state : { ...state, claiming: 0n }
    const reason = judge(left, { ...worth, now })
    const isAtRisk = isOverdue(state, now) && state.charged - state.claimed >= worth.minPayout
    if (isAtRisk && reason !== 'dust') outlook.atRisk += state.charged - state.claimed
    if (reason === 'dust') outlook.dust += owed(left)
    else if (reason) {
      keep(outlook.next, { state: left, reason })
      outlook.due[reason] += 1
      add(all, left)
      if (reason !== 'threshold') add(ends, left)
      if (isAtRisk) overdue += owed(left)
    }
  }
  if (!isWorthIt(all, ends, worth.cost)) {
    outlook.next = []
    outlook.due = noneDue()
    outlook.dust += ends.amount
    outlook.atRisk -= overdue
  }
  return outlook
}

const noneDue = () => ({ expiring: 0, closing: 0, threshold: 0 })

function add(sum: { count: number; amount: bigint }, state: ChannelState): void {
  sum.count += 1
  sum.amount += owed(state)
}

/** Keeps the most urgent: those that expire first. */
function keep(next: Outlook['next'], { state, reason }: { state: ChannelState; reason: Reason }): void {
  const { channelId, expiry } = state
  const at = next.findIndex((other) => other.expiry > expiry)
  next.splice(at < 0 ? next.length : at, 0, { channelId, amount: owed(state), reason, expiry })
  if (next.length > shown) next.pop()
}
