import type { Database } from 'better-sqlite3'
import type { Address, Hex } from 'viem'
import { type Account, assertSound, type Lease } from './Account.ts'
import type { ChannelFilter, ChannelStatus, LedgerVoucher } from './Ledger.ts'
import type { LedgerRows } from './LedgerStore.ts'

/**
 * Ids and addresses are bytes, since bytes have no letter case and are half as long. Amounts are SQLite's 64-bit
 * integers. The bitmap of nonces is 128 bytes, most significant first.
 */
export const schema = `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

  CREATE TABLE channels (
    number              INTEGER PRIMARY KEY,
    id                  BLOB    NOT NULL UNIQUE CHECK (length(id) = 32),
    consumer            BLOB    NOT NULL,
    provider            BLOB    NOT NULL,
    deposit             INTEGER NOT NULL,
    expiry              INTEGER NOT NULL,
    first_seen          INTEGER NOT NULL,
    status              TEXT    NOT NULL CHECK (status IN ('open', 'closing', 'closed')),
    authorized          INTEGER NOT NULL,
    charged             INTEGER NOT NULL,
    reserved            INTEGER NOT NULL,
    claimed             INTEGER NOT NULL,
    claiming            INTEGER NOT NULL,
    final_amount        INTEGER,
    alarm               INTEGER NOT NULL,
    nonce               INTEGER NOT NULL,
    nonces_seen         BLOB    NOT NULL CHECK (length(nonces_seen) = 128),
    highest_amount      INTEGER,
    highest_nonce       INTEGER,
    highest_signature   BLOB,
    next_amount         INTEGER,
    next_nonce          INTEGER,
    next_signature      BLOB,
    claimable_amount    INTEGER,
    claimable_nonce     INTEGER,
    claimable_signature BLOB
  ) STRICT;

  CREATE TABLE leases (
    channel  BLOB    NOT NULL,
    nonce    INTEGER NOT NULL,
    held     INTEGER NOT NULL,
    captured INTEGER NOT NULL,
    stage    TEXT    NOT NULL CHECK (stage IN ('live', 'expired')),
    ends_at  INTEGER NOT NULL,
    PRIMARY KEY (channel, nonce)
  ) STRICT, WITHOUT ROWID;

  CREATE INDEX leases_by_end ON leases (channel, ends_at);
`

/** How many rows are read in one go when all channels are listed: a few milliseconds. */
const pageSize = 1000n

/** Reads and writes accounts and leases. Every row read is checked: a damaged one serves nobody. */
export function sqliteRows(database: Database, now: () => number) {
  const selectAccount = database.prepare<[Buffer], AccountRow>('SELECT * FROM channels WHERE id = ?')
  const putAccount = database.prepare<unknown[]>(upsert('channels', accountColumns, ['id']))
  const selectLease = database.prepare<[Buffer, bigint], LeaseRow>(
    'SELECT * FROM leases WHERE channel = ? AND nonce = ?',
  )
  const selectLeases = database.prepare<[Buffer], LeaseRow>('SELECT * FROM leases WHERE channel = ?')
  const selectLeasesEnding = database.prepare<[Buffer, bigint], LeaseRow>(
    'SELECT * FROM leases WHERE channel = ? AND ends_at <= ?',
  )
  const putLease = database.prepare<unknown[]>(upsert('leases', leaseColumns, ['channel', 'nonce']))
  const deleteLease = database.prepare<[Buffer, bigint]>('DELETE FROM leases WHERE channel = ? AND nonce = ?')
  const selectLast = database.prepare<[], { last: bigint | null }>('SELECT max(number) AS last FROM channels')
  const selectPage = database.prepare<[bigint, bigint, ...(string | bigint | null)[]], AccountRow>(`
    SELECT * FROM channels WHERE number > ? AND number <= ?
    AND status = coalesce(?, status) AND (? IS NULL OR charged - claimed > ?) ORDER BY number
  `)

  const rows: LedgerRows = {
    now,
    account(channelId) {
      const row = selectAccount.get(toBytes(channelId))
      return row && toAccount(row)
    },
    lease(channelId, nonce) {
      const row = selectLease.get(toBytes(channelId), nonce)
      return row && toLease(row)
    },
    leases(channelId, endingBy) {
      const channel = toBytes(channelId)
      const found =
        endingBy === undefined ? selectLeases.all(channel) : selectLeasesEnding.all(channel, BigInt(endingBy))
      return found.map(toLease)
    },
    write(account, leases) {
      putAccount.run(fromAccount(account))
      const channel = toBytes(account.channelId)
      for (const lease of leases) {
        if (lease.stage === 'ended') deleteLease.run(channel, lease.nonce)
        else putLease.run(channel, lease.nonce, lease.held, lease.captured, lease.stage, BigInt(lease.endsAt))
      }
    },
  }

  /** Goes by the number of the row, so that a portion costs the same however few of its rows match. */
  function* pages({ status = null, unclaimedOver = null }: Nullable<ChannelFilter>): Generator<Account[]> {
    const last = selectLast.get()?.last ?? 0n
    for (let after = 0n; after < last; after += pageSize)
      yield selectPage.all(after, after + pageSize, status, unclaimedOver, unclaimedOver).map(toAccount)
  }

  return { rows, pages }
}

type Nullable<type> = { [key in keyof type]: type[key] | null }

type VoucherRow<name extends string> = Record<`${name}_${'amount' | 'nonce'}`, bigint | null> &
  Record<`${name}_signature`, Buffer | null>

type AccountRow = Record<'id' | 'consumer' | 'provider' | 'nonces_seen', Buffer> &
  Record<'deposit' | 'expiry' | 'first_seen' | 'authorized' | 'charged' | 'reserved', bigint> &
  Record<'claimed' | 'claiming' | 'alarm' | 'nonce', bigint> & {
    status: ChannelStatus
    final_amount: bigint | null
  } & VoucherRow<'highest' | 'next' | 'claimable'>

type LeaseRow = Record<'nonce' | 'held' | 'captured' | 'ends_at', bigint> & { stage: Lease['stage'] }

const accountColumns = [
  ...['id', 'consumer', 'provider', 'deposit', 'expiry', 'first_seen', 'status'],
  ...[
    'authorized',
    'charged',
    'reserved',
    'claimed',
    'claiming',
    'final_amount',
    'alarm',
    'nonce',
    'nonces_seen',
  ],
  ...['highest_amount', 'highest_nonce', 'highest_signature', 'next_amount', 'next_nonce', 'next_signature'],
  ...['claimable_amount', 'claimable_nonce', 'claimable_signature'],
]
const leaseColumns = ['channel', 'nonce', 'held', 'captured', 'stage', 'ends_at']

/** The account's values in the order of `accountColumns`. */
function fromAccount(account: Account): unknown[] {
  const { nonces } = account
  return [
    ...[toBytes(account.channelId), toBytes(account.consumer), toBytes(account.provider)],
    ...[account.deposit, account.expiry, account.firstSeen, account.status],
    ...[account.authorized, account.charged, account.reserved, account.claimed, account.claiming],
    ...[account.finalAmount ?? null, account.alarm ? 1n : 0n],
    ...[nonces.highest, Buffer.from(nonces.seen.toString(16).padStart(256, '0'), 'hex')],
    ...fromVoucher(account.highest),
    ...fromVoucher(account.next),
    ...fromVoucher(account.claimable),
  ]
}

function toAccount(row: AccountRow): Account {
  const account: Account = {
    channelId: toHex(row.id),
    consumer: toHex(row.consumer) satisfies Address,
    provider: toHex(row.provider) satisfies Address,
    deposit: row.deposit,
    expiry: row.expiry,
    firstSeen: row.first_seen,
    status: row.status,
    authorized: row.authorized,
    charged: row.charged,
    reserved: row.reserved,
    claimed: row.claimed,
    claiming: row.claiming,
    finalAmount: row.final_amount ?? undefined,
    alarm: row.alarm !== 0n,
    nonces: { highest: row.nonce, seen: BigInt(toHex(row.nonces_seen)) },
    highest: toVoucher(row.highest_amount, row.highest_nonce, row.highest_signature),
    next: toVoucher(row.next_amount, row.next_nonce, row.next_signature),
    claimable: toVoucher(row.claimable_amount, row.claimable_nonce, row.claimable_signature),
  }
  assertSound(account)
  return account
}

function toLease({ nonce, held, captured, stage, ends_at }: LeaseRow): Lease {
  return { nonce, held, captured, stage, endsAt: Number(ends_at) }
}

function fromVoucher(voucher: LedgerVoucher | undefined): unknown[] {
  return voucher ? [voucher.amount, voucher.nonce, toBytes(voucher.signature)] : [null, null, null]
}

function toVoucher(
  amount: bigint | null,
  nonce: bigint | null,
  signature: Buffer | null,
): LedgerVoucher | undefined {
  if (amount === null || nonce === null || signature === null) return undefined
  return { amount, nonce, signature: toHex(signature) }
}

function upsert(table: string, columns: string[], key: string[]): string {
  const changes = columns
    .filter((column) => !key.includes(column))
    .map((column) => `${column} = excluded.${column}`)
  return `INSERT INTO ${table} (${columns}) VALUES (${columns.map(() => '?')}) ON CONFLICT (${key}) DO UPDATE SET ${changes}`
}

const toBytes = (hex: Hex): Buffer => Buffer.from(hex.slice(2), 'hex')
const toHex = (bytes: Buffer): Hex => `0x${bytes.toString('hex')}`
