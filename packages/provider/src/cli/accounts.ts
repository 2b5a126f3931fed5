import { Usdc } from '@drain/core'
import { formatEther, type Hex } from 'viem'
import type { DayRange } from '../ledger/Ledger.ts'
import type { Books } from './openBooks.ts'

/**
 * What one channel came to on one day (UTC), or all charges of one consumer, which have no channel, or all transactions of one `kind`
 * that paid nothing, which are of nobody. USDC and the chain's native coin as decimal strings.
 */
export type AccountsRow = {
  day: string
  channelId: Hex | null
  consumer: Hex | null
  requests: string
  charged: string
  /** Before the fee. */
  claimed: string
  fee: string
  gasCost: string
  /** Hashes of the transactions of claims, or charges. */
  transactions: Hex[]
  /** Of transactions that only cost gas, such as `claim` of one that failed; else null. */
  kind: string | null
}

/** Names and order of the columns of a CSV export. */
export const columns = [
  'day',
  'channelId',
  'consumer',
  'requests',
  'charged',
  'claimed',
  'fee',
  'gasCost',
  'transactions',
  'kind',
] as const satisfies readonly (keyof AccountsRow)[]

/**
 * Charges, claims and fees by day and channel, oldest day first. Keeps one day in memory at a time.
 *
 * A claim counts on the day of its transaction, which can be a day without charges. Payments without a channel follow the
 * channels of their day, once their transfers are final: charged and claimed are one then. Last comes the gas of transactions that
 * paid nothing, by what they were to do.
 */
export async function* accounts(
  books: Pick<Books, 'days' | 'claims' | 'incomes' | 'unpaidGas'>,
  range: DayRange = {},
): AsyncGenerator<AccountsRow> {
  const charges = singly(books.days(range))
  const claims = singly(books.claims(range))
  const incomes = books.incomes(range)
  const unpaid = books.unpaidGas(range)
  let charge = await charges.next()
  let claim = await claims.next()
  let income = await incomes.next()
  let gas = await unpaid.next()
  while (!charge.done || !claim.done || !income.done || !gas.done) {
    const days = [
      ...(charge.done ? [] : [charge.value.day]),
      ...(claim.done ? [] : [dayOf(claim.value.at)]),
      ...(income.done ? [] : [income.value.day]),
      ...(gas.done ? [] : [gas.value.day]),
    ]
    const day = days.sort()[0] as string
    const channels = new Map<Hex, Sums>()
    const consumers = new Map<Hex, Sums>()
    const kinds = new Map<string, Sums>()
    const sumsIn = <key extends string>(sums: Map<key, Sums>, key: key, consumer: Hex | null) => {
      const found = sums.get(key) ?? none(consumer)
      sums.set(key, found)
      return found
    }
    const sumsOf = (channelId: Hex, consumer: Hex) => sumsIn(channels, channelId, consumer)
    for (; !charge.done && charge.value.day <= day; charge = await charges.next()) {
      const sums = sumsOf(charge.value.channelId, charge.value.consumer)
      sums.requests += charge.value.requests
      sums.charged += charge.value.charged
    }
    for (; !claim.done && dayOf(claim.value.at) <= day; claim = await claims.next()) {
      const sums = sumsOf(claim.value.channelId, claim.value.consumer)
      sums.claimed += claim.value.amount
      sums.fee += claim.value.fee
      sums.gasCost += claim.value.gasCost
      sums.transactions.push(claim.value.txHash)
    }
    for (; !income.done && income.value.day <= day; income = await incomes.next()) {
      const { from, value, gasCost, txHash } = income.value
      const sums = sumsIn(consumers, from, from)
      sums.requests += 1n
      sums.charged += value
      sums.claimed += value
      sums.gasCost += gasCost
      sums.transactions.push(txHash)
    }
    for (; !gas.done && gas.value.day <= day; gas = await unpaid.next()) {
      const sums = sumsIn(kinds, gas.value.kind, null)
      sums.gasCost += gas.value.gasCost
      sums.transactions.push(gas.value.txHash)
    }
    for (const [channelId, sums] of channels) yield toRow({ day, channelId }, sums)
    for (const sums of consumers.values()) yield toRow({ day }, sums)
    for (const [kind, sums] of kinds) yield toRow({ day, kind }, sums)
  }
}

/** A row as a line of CSV, several transactions with spaces between them. Nothing in it needs quotes. */
export function toCsv(row: AccountsRow): string {
  return columns.map((column) => [row[column]].flat().join(' ')).join(',')
}

type Sums = Record<'requests' | 'charged' | 'claimed' | 'fee' | 'gasCost', bigint> & {
  consumer: Hex | null
  transactions: Hex[]
}

async function* singly<row>(portions: AsyncIterable<readonly row[]>): AsyncGenerator<row, void> {
  for await (const portion of portions) yield* portion
}

function none(consumer: Hex | null): Sums {
  return { consumer, requests: 0n, charged: 0n, claimed: 0n, fee: 0n, gasCost: 0n, transactions: [] }
}

function toRow(
  { day, channelId, kind }: { day: string; channelId?: Hex; kind?: string },
  sums: Sums,
): AccountsRow {
  const { consumer, requests, charged, claimed, fee, gasCost, transactions } = sums
  return {
    day,
    channelId: channelId ?? null,
    consumer,
    requests: requests.toString(),
    charged: Usdc.format(charged),
    claimed: Usdc.format(claimed),
    fee: Usdc.format(fee),
    gasCost: formatEther(gasCost),
    transactions: [...new Set(transactions)],
    kind: kind ?? null,
  }
}

function dayOf(at: bigint): string {
  return new Date(Number(at) * 1_000).toISOString().slice(0, 10)
}
