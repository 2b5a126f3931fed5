import type { Hex } from 'viem'
import { type Account, assertSound } from './Account.ts'
import { byteaArray } from './byteaArray.ts'
import { LedgerInvariantError } from './Errors.ts'
import type { ChannelStatus, ClaimRecord, LedgerIdentity, Outcome } from './Ledger.ts'
import type { ChannelRecord, DayEnd } from './LedgerStore.ts'
import { decodeRest, encodeRest, type Rest } from './recordCodec.ts'

/** What is written of a channel that exists already: names and types of the columns. */
const changing = {
  ...{ version: 'bigint', expiry: 'bigint', status: 'text', closed_at: 'bigint', authorized: 'bigint' },
  ...{ charged: 'bigint', requests: 'bigint', charged_on: 'integer', reserved: 'bigint', claimed: 'bigint' },
  ...{ alarm: 'boolean', rest: 'bytea' },
}
const written = { id: 'bytea', consumer: 'bytea', deposit: 'bigint', ...changing }

export const changingColumns = Object.keys(changing)
export const writtenColumns = Object.keys(written)
/** As `json_to_recordset` wants it. `known`: the version that was read, null if there was none. */
export const writtenTypes = toTypes({ ...written, known: 'bigint' })

/** A record as it travels in JSON: 64-bit integers and bytes as text, since JSON has neither. */
export function fromRecord(record: ChannelRecord, version: bigint, known: bigint | undefined) {
  const { account } = record
  return {
    id: bytes(account.channelId),
    version: `${version}`,
    known: textOrNull(known),
    consumer: bytes(account.consumer),
    deposit: `${account.deposit}`,
    expiry: `${account.expiry}`,
    status: account.status,
    closed_at: textOrNull(account.closedAt),
    authorized: `${account.authorized}`,
    charged: `${account.charged}`,
    requests: `${account.requests}`,
    charged_on: account.chargedOn ?? null,
    reserved: `${account.reserved}`,
    claimed: `${account.claimed}`,
    alarm: account.alarm,
    rest: `\\x${encodeRest(record).toString('hex')}`,
  } satisfies Record<keyof typeof written | 'known', unknown>
}

/** A row of channels as `pg` returns it. */
export type ChannelRow = Record<'id' | 'consumer' | 'rest', Buffer> &
  Record<'number' | 'version' | 'deposit' | 'expiry' | 'authorized' | 'charged', string> &
  Record<'requests' | 'reserved' | 'claimed', string> & {
    status: ChannelStatus
    closed_at: string | null
    charged_on: number | null
    alarm: boolean
  }

/** The provider is the ledger's, in lower case. @throws LedgerInvariantError */
export function toRecord(row: ChannelRow, { provider }: Pick<LedgerIdentity, 'provider'>): ChannelRecord {
  const { leases, ...rest } = decode(row)
  const account: Account = {
    ...rest,
    channelId: toHex(row.id),
    provider,
    deposit: BigInt(row.deposit),
    expiry: BigInt(row.expiry),
    status: row.status,
    closedAt: row.closed_at === null ? undefined : BigInt(row.closed_at),
    authorized: BigInt(row.authorized),
    charged: BigInt(row.charged),
    requests: BigInt(row.requests),
    chargedOn: row.charged_on ?? undefined,
    reserved: BigInt(row.reserved),
    claimed: BigInt(row.claimed),
    alarm: row.alarm,
  }
  const record = { account, leases }
  assertSound(record)
  return record
}

/** The consumer stands in a column too, for the days: both must be the same. */
function decode({ id, consumer, rest }: ChannelRow): Rest {
  let decoded: Rest
  try {
    decoded = decodeRest(rest)
  } catch (error) {
    throw new LedgerInvariantError(toHex(id), 'its row cannot be read', String(error))
  }
  if (decoded.consumer !== toHex(consumer))
    throw new LedgerInvariantError(toHex(id), 'its row names two consumers', toHex(consumer))
  return decoded
}

/** An outcome and whose it is. */
export type OutcomeOf = Outcome & { channelId: Hex; keyId: Hex; endsAt: number }

/** Outcomes as parameters of `outcomeRows`: column by column, since the responses may be large and go as they are. */
export function fromOutcomes(outcomes: readonly OutcomeOf[]): unknown[] {
  return [
    outcomes.map(({ channelId }) => toBytes(channelId)),
    outcomes.map(({ keyId }) => toBytes(keyId)),
    outcomes.map(({ fingerprint }) => toBytes(fingerprint)),
    byteaArray(outcomes.map(({ response }) => response)),
    outcomes.map(({ endsAt }) => endsAt),
  ]
}

/** The rows that `fromOutcomes` made parameters of, the first of which is `$first`. */
export function outcomeRows(first: number): string {
  const types = ['bytea', 'bytea', 'bytea', 'bytea', 'bigint']
  return `unnest(${types.map((type, index) => `$${first + index}::${type}[]`).join(', ')})`
}

export const dayEndTypes = toTypes({
  ...{ channel: 'bytea', day: 'integer', consumer: 'bytea', charged: 'bigint', requests: 'bigint' },
})

export function fromDayEnd({ channelId, consumer }: Account, { day, charged, requests }: DayEnd) {
  return {
    ...{ channel: bytes(channelId), day, consumer: bytes(consumer) },
    ...{ charged: `${charged}`, requests: `${requests}` },
  }
}

export const claimTypes = toTypes({
  ...{ channel: 'bytea', consumer: 'bytea', amount: 'bigint', at: 'bigint' },
  ...{ tx_hash: 'bytea', fee: 'numeric', gas_cost: 'numeric' },
})

export function fromClaim({ channelId, consumer, amount, at, txHash, fee, gasCost }: ClaimRecord) {
  return {
    ...{ channel: bytes(channelId), consumer: bytes(consumer), amount: `${amount}`, at: `${at}` },
    ...{ tx_hash: bytes(txHash), fee: `${fee}`, gas_cost: `${gasCost}` },
  }
}

export type ClaimRow = Record<'number' | 'amount' | 'at' | 'fee' | 'gas_cost', string> &
  Record<'channel' | 'consumer' | 'tx_hash', Buffer>

export function toClaim({ channel, consumer, amount, at, tx_hash, fee, gas_cost }: ClaimRow): ClaimRecord {
  return {
    ...{ channelId: toHex(channel), consumer: toHex(consumer), amount: BigInt(amount), at: BigInt(at) },
    ...{ txHash: toHex(tx_hash), fee: BigInt(fee), gasCost: BigInt(gas_cost) },
  }
}

function toTypes(columns: Record<string, string>): string {
  return Object.entries(columns)
    .map(([name, type]) => `${name} ${type}`)
    .join(', ')
}

export const toBytes = (hex: Hex): Buffer => Buffer.from(hex.slice(2), 'hex')
export const toHex = (buffer: Buffer): Hex => `0x${buffer.toString('hex')}`
const bytes = (hex: Hex): string => `\\x${hex.slice(2)}`
const textOrNull = (value: bigint | undefined): string | null => (value === undefined ? null : `${value}`)
