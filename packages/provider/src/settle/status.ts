/** What a settlement has done and what comes next, from the ledger and its notebook. Changes nothing. */
import type { Address, Hex, PublicClient } from 'viem'
import { alarms as alarmsIn, countCleared } from '../ledger/alarms.ts'
import type { Ledger, LedgerIdentity } from '../ledger/Ledger.ts'
import { dues, incomes } from './ChargeBook.ts'
import { followedTo } from './Cursor.ts'
import { createJournal, isSettled, type Journal } from './Journal.ts'
import { type Outlook, readOutlook } from './outlook.ts'
import type { Worth } from './plan.ts'

/** Amounts in base units of USDC, gas in wei. */
export type StatusReport = Omit<Outlook, 'due'> & {
  provider: Address
  chainId: number
  contract: Address
  /** `alarms`: channels that were claimed beyond what the ledger knows. */
  channels: { open: number; closing: number; closed: number; alarms: number }
  earned: bigint
  claimed: bigint
  /** Earned and not claimed. */
  unclaimed: bigint
  /** Claimed above what was charged, where only whole signed amounts can be claimed: the consumers' credit. Not in `unclaimed`. */
  unused: bigint
  /**
   * Payments without a channel: how many are final, what they paid, and in wei what their transfers cost. `pending`: paid and
   * answered, and not final.
   */
  charges: { count: number; amount: bigint; gasCost: bigint; pending: bigint }
  /** By all transactions that were ever booked, and those that are mined. */
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
  /**
   * How far the chain was followed. When a node was asked: how many blocks that is `behind`, and for how long the oldest of them has
   * been waiting (`unreadFor`, seconds).
   */
  cursor: { block: bigint; behind?: bigint; unreadFor?: bigint } | undefined
}

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
  const journal = createJournal(notebook, provider)
  const { transactions, underWay } = await underWayIn(journal, amounts)
  const { due: _, ...outlook } = await readOutlook({ ledger, underWay, worth, now })
  const alarms: StatusReport['alarms'] = []
  for await (const alarm of alarmsIn(notebook)) alarms.push(alarm)
  return {
    ...{ provider, chainId, contract, charges, transactions, alarms },
    ...(await totalsOf(ledger)),
    ...outlook,
    gasSpent: await journal.gasSpent(),
    gasBalance: await client?.getBalance({ address: provider }).catch(() => undefined),
    clearedAlarms: await countCleared(notebook),
    cursor: await cursorIn(notebook, client, now),
  }
}

/** Transactions that aren't final, and the channels that they take from. `amounts`: of charges, by their subjects. */
async function underWayIn(journal: Journal, amounts: ReadonlyMap<string, bigint>) {
  const transactions: StatusReport['transactions'] = []
  const underWay = new Set<Hex>()
  for await (const entry of journal.all()) {
    const { nonce, kind, takes, subject, attempts, mined } = entry
    const [first, last] = [attempts[0], attempts.at(-1)]
    if (isSettled(entry) || !first || !last) continue
    const [hash, since] = [mined?.hash ?? last.hash, Math.floor(first.at / 1_000)]
    transactions.push({
      ...{ nonce, kind, channels: takes.length, hash, attempts: attempts.length, since },
      amount: subject === undefined ? undefined : amounts.get(subject),
    })
    for (const { channelId } of takes) underWay.add(channelId)
  }
  return { transactions, underWay }
}

async function totalsOf(ledger: Pick<Ledger, 'totals'>) {
  const { open, closing, closed, alarms, charged, claimed, unused } = await ledger.totals()
  const unclaimed = charged - claimed + unused
  return { channels: { open, closing, closed, alarms }, earned: charged, claimed, unclaimed, unused }
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
  now: bigint,
): Promise<StatusReport['cursor']> {
  const block = await followedTo(notebook)
  if (block === undefined) return undefined
  try {
    const head = await client?.getBlockNumber()
    if (head === undefined || !client) return { block }
    if (head <= block) return { block, behind: 0n, unreadFor: 0n }
    const { timestamp } = await client.getBlock({ blockNumber: block + 1n })
    return { block, behind: head - block, unreadFor: now > timestamp ? now - timestamp : 0n }
  } catch {
    return { block }
  }
}
