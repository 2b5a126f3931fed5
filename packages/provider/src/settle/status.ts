/** What a settlement has done and what comes next, from the ledger and its notebook. Changes nothing. */
import type { Address, Hex, PublicClient } from 'viem'
import { alarms as alarmsIn, countCleared } from '../ledger/alarms.ts'
import type { ChannelState, Ledger, LedgerIdentity } from '../ledger/Ledger.ts'
import * as Terms from '../verify/Terms.ts'
import { dues, incomes } from './ChargeBook.ts'
import * as Cursor from './Cursor.ts'
import { createJournal, isSettled } from './Journal.ts'
import { isOverdue, judge, owed, type Reason, type Worth } from './plan.ts'

/** Amounts in base units of USDC, gas in wei. */
export type StatusReport = {
  provider: Address
  chainId: number
  contract: Address
  /** `alarms`: channels that were claimed beyond what the ledger knows. */
  channels: { open: number; closing: number; closed: number; alarms: number }
  earned: bigint
  claimed: bigint
  /** Earned and not claimed. */
  unclaimed: bigint
  /** Of that, in transactions that aren't final yet. */
  claiming: bigint
  /** Of channels so close to their expiry that it should have been claimed before. */
  atRisk: bigint
  /** Of channels that are about to end, and not worth its gas. */
  dust: bigint
  /**
   * Payments without a channel: how many are final, what they paid, and in wei what their transfers cost. `pending`: paid and
   * answered, and not final.
   */
  charges: { count: number; amount: bigint; gasCost: bigint; pending: bigint }
  /** By all transactions that the journal has kept. */
  gasSpent: bigint
  /** Of the account; undefined when no node was asked. */
  gasBalance: bigint | undefined
  /** Transactions that aren't final. `amount`: of a charge. `since`: Unix seconds. */
  transactions: {
    nonce: number
    kind: string
    channels: number
    amount?: bigint | undefined
    hash: Hex
    attempts: number
    since: number
  }[]
  /** What is claimed next, the most urgent first. */
  next: { channelId: Hex; amount: bigint; reason: Reason; expiry: bigint }[]
  /** What somebody has to look at. `at`: Unix milliseconds. */
  alarms: {
    channelId?: Hex | undefined
    charge?: Hex | undefined
    code: string
    message: string
    at: number
  }[]
  /** Alarms that somebody has looked at and cleared. */
  clearedAlarms: number
  /** How far the chain was followed; `behind` when a node was asked. */
  cursor: { block: bigint; behind?: bigint } | undefined
}

const shown = 20

export async function readStatus(options: {
  identity: LedgerIdentity
  ledger: Pick<Ledger, 'channels' | 'totals' | 'notebook'>
  /** Asked for the account's gas and the head, where there is one. */
  client?: PublicClient | undefined
  worth: Worth
  /** Unix seconds. */
  now: bigint
}): Promise<StatusReport> {
  const { identity, ledger, client, worth, now } = options
  const { provider, chainId, contract } = identity
  const { notebook } = ledger
  const { charges, amounts } = await chargesIn(notebook)
  const report: StatusReport = {
    ...{ provider, chainId, contract, transactions: [], next: [], alarms: [] },
    ...(await totalsOf(ledger)),
    charges,
    ...{ claiming: 0n, atRisk: 0n, dust: 0n, gasSpent: 0n },
    clearedAlarms: await countCleared(notebook),
    gasBalance: await client?.getBalance({ address: provider }).catch(() => undefined),
    cursor: await cursorIn(notebook, client),
  }
  const underWay = new Set<Hex>()
  for await (const entry of createJournal(notebook, provider).all()) {
    const { nonce, kind, takes, subject, attempts, mined } = entry
    report.gasSpent += mined?.gasCost ?? 0n
    if (isSettled(entry)) continue
    const [first, last] = [attempts[0], attempts.at(-1)]
    if (!first || !last) continue
    const [hash, since] = [mined?.hash ?? last.hash, Math.floor(first.at / 1_000)]
    report.transactions.push({
      ...{ nonce, kind, channels: takes.length, hash, attempts: attempts.length, since },
      amount: subject === undefined ? undefined : amounts.get(subject),
    })
    for (const { channelId } of takes) underWay.add(channelId)
  }
  const soon = { unclaimed: worth.threshold, expiry: now + Terms.longestMargin }
  // What is under way may be of channels that weren't due, but for the operator.
  const due = underWay.size > 0 ? undefined : soon
  for await (const state of ledger.channels({ unclaimedOver: 0n, due })) {
    const isMoving = underWay.has(state.channelId)
    if (isMoving) report.claiming += state.charged - state.claimed - owed(state)
    const left = isMoving ? state : { ...state, claiming: 0n }
    if (isOverdue(state, now) && state.charged - state.claimed >= worth.minPayout)
      report.atRisk += state.charged - state.claimed
    const reason = judge(left, { ...worth, now })
    if (reason === 'dust') report.dust += owed(left)
    else if (reason) keep(report.next, { state: left, reason })
  }
  for await (const alarm of alarmsIn(notebook)) report.alarms.push(alarm)
  return report
}

/** Keeps the most urgent: those that expire first. */
function keep(next: StatusReport['next'], { state, reason }: { state: ChannelState; reason: Reason }): void {
  const { channelId, expiry } = state
  const at = next.findIndex((other) => other.expiry > expiry)
  next.splice(at < 0 ? next.length : at, 0, { channelId, amount: owed(state), reason, expiry })
  if (next.length > shown) next.pop()
}

async function totalsOf(ledger: Pick<Ledger, 'totals'>) {
  const { open, closing, closed, alarms, charged, claimed } = await ledger.totals()
  const unclaimed = charged - claimed
  return { channels: { open, closing, closed, alarms }, earned: charged, claimed, unclaimed }
}

/** `amounts`: of the charges that aren't final, by the subjects of their transactions. */
async function chargesIn(notebook: Ledger['notebook']) {
  const charges: StatusReport['charges'] = { count: 0, amount: 0n, gasCost: 0n, pending: 0n }
  for await (const { value, gasCost } of incomes(notebook)) {
    charges.count += 1
    charges.amount += value
    charges.gasCost += gasCost
  }
  const amounts = new Map<string, bigint>()
  for await (const { name, value, txHash } of dues(notebook)) {
    amounts.set(name, value)
    if (txHash) charges.pending += value
  }
  return { charges, amounts }
}

async function cursorIn(
  notebook: Ledger['notebook'],
  client: PublicClient | undefined,
): Promise<StatusReport['cursor']> {
  for await (const { key, text } of notebook.read('cursor')) {
    if (key !== 'cursor') continue
    const block = Cursor.parse(text).seen.number
    const head = await client?.getBlockNumber().catch(() => undefined)
    if (head === undefined) return { block }
    return { block, behind: head > block ? head - block : 0n }
  }
  return undefined
}
