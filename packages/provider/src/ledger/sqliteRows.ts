import type { Database } from 'better-sqlite3'
import type { Address, Hex } from 'viem'
import { type Account, assertSound, lapse, matches } from './Account.ts'
import * as Day from './Day.ts'
import { LedgerInvariantError } from './Errors.ts'
import type {
  ChannelFilter,
  ChannelStatus,
  ChargedDay,
  ClaimRecord,
  DayRange,
  LedgerIdentity,
  LedgerTotals,
  Outcome,
} from './Ledger.ts'
import type { ChannelRecord, DayEnd, Writes } from './LedgerStore.ts'
import { decodeRest, encodeRest, type Rest } from './recordCodec.ts'
import { skipDamaged } from './skipDamaged.ts'

/**
 * Ids and addresses are bytes, since bytes have no letter case and are half as long. Amounts are SQLite's 64-bit
 * integers. A channel is one row: what queries look at has columns, the rest is one blob (`recordCodec`).
 *
 * Each request writes its channel's row twice and must not touch an index, so the indexed columns are those that seldom
 * change: `owes` says that something was charged and is not claimed, `ends` when the channel expires or was closed, in
 * Unix seconds. `booked` and `booked_requests` are what is in the table of days; the rest of `charged` is of the day
 * `charged_on`.
 */
export const schema = `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

  CREATE TABLE channels (
    number          INTEGER PRIMARY KEY,
    id              BLOB    NOT NULL UNIQUE CHECK (length(id) = 32),
    status          TEXT    NOT NULL CHECK (status IN ('open', 'closing', 'closed')),
    alarm           INTEGER NOT NULL,
    owes            INTEGER NOT NULL,
    expiry          INTEGER NOT NULL,
    closed_at       INTEGER,
    ends            INTEGER NOT NULL,
    deposit         INTEGER NOT NULL,
    claimed         INTEGER NOT NULL,
    charged_on      INTEGER,
    booked          INTEGER NOT NULL,
    booked_requests INTEGER NOT NULL,
    authorized      INTEGER NOT NULL,
    charged         INTEGER NOT NULL,
    requests        INTEGER NOT NULL,
    reserved        INTEGER NOT NULL,
    rest            BLOB    NOT NULL
  ) STRICT;

  CREATE INDEX channels_owing ON channels (owes) WHERE owes = 1;
  CREATE INDEX channels_by_end ON channels (ends);
  CREATE INDEX channels_by_day ON channels (charged_on, id) WHERE charged_on IS NOT NULL;

  CREATE TABLE outcomes (
    number      INTEGER PRIMARY KEY,
    channel     BLOB    NOT NULL,
    key         BLOB    NOT NULL,
    fingerprint BLOB    NOT NULL,
    ends_at     INTEGER NOT NULL,
    response    BLOB    NOT NULL,
    UNIQUE (channel, key)
  ) STRICT;

  CREATE INDEX outcomes_by_end ON outcomes (ends_at);

  CREATE TABLE days (
    day      INTEGER NOT NULL,
    channel  BLOB    NOT NULL,
    consumer BLOB    NOT NULL,
    charged  INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    PRIMARY KEY (day, channel)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE claims (
    number   INTEGER PRIMARY KEY,
    tx       BLOB    NOT NULL,
    channel  BLOB    NOT NULL,
    consumer BLOB    NOT NULL,
    amount   INTEGER NOT NULL,
    fee      TEXT    NOT NULL,
    gas_cost TEXT    NOT NULL,
    at       INTEGER NOT NULL
  ) STRICT;
`

/** A bound that may be more than any row can have. */
const stored = (bound: bigint) => (bound < largest ? bound : largest)
const largest = 2n ** 63n - 1n

/** How many rows are read in one go when many are listed: a few milliseconds. */
const pageSize = 1000

/** A channel's row as this process knows it. */
export type Row = { number: bigint; record: ChannelRecord; booked: bigint; bookedRequests: bigint }

/** A place in the order of `ends` and `number`. */
type After = readonly [ends: bigint, number: bigint]
type Ended = { over: Row[]; next: After | undefined }

/** When the channel was or is over for both sides. */
function endOf({ closedAt = 0n, expiry }: Account): bigint {
  return closedAt > expiry ? closedAt : expiry
}

export type SqliteRows = ReturnType<typeof sqliteRows>

/** Reads and writes the rows of the ledger of `provider`, in lower case. Every record read is checked: a damaged one serves nobody. */
export function sqliteRows(database: Database, { provider }: Pick<LedgerIdentity, 'provider'>) {
  // Without names, and with few blobs: making these takes longer than finding the row.
  const selectRow = database.prepare<[Buffer], Columns>(`SELECT ${columns} FROM channels WHERE id = ?`).raw()
  const insertRow = database.prepare<unknown[]>(
    'INSERT INTO channels (id, deposit, status, alarm, owes, expiry, closed_at, ends, claimed, ' +
      'charged_on, booked, booked_requests, authorized, charged, requests, reserved, rest) ' +
      'VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  )
  const updateSeldom = database.prepare<unknown[]>(
    'UPDATE channels SET status = ?, alarm = ?, owes = ?, expiry = ?, closed_at = ?, ends = ?, claimed = ?, ' +
      'charged_on = ?, booked = ?, booked_requests = ?, authorized = ?, charged = ?, requests = ?, reserved = ?, ' +
      'rest = ? WHERE number = ?',
  )
  const updateOften = database.prepare<unknown[]>(
    'UPDATE channels SET authorized = ?, charged = ?, requests = ?, reserved = ?, rest = ? WHERE number = ?',
  )
  const deleteRow = database.prepare<[bigint]>('DELETE FROM channels WHERE number = ?')
  const selectLast = database.prepare<[], bigint | null>('SELECT max(number) FROM channels').pluck()
  const selectPage = database
    .prepare<[bigint, bigint, string | null], Listed>(
      `SELECT id, ends, ${columns} FROM channels WHERE number > ? AND number <= ? AND status = coalesce(?, status) ` +
        'ORDER BY number',
    )
    .raw()
  const selectOwingEnd = database
    .prepare<[bigint, number], bigint | null>(
      'SELECT max(number) FROM (SELECT number FROM channels WHERE owes = 1 AND number > ? ORDER BY number LIMIT ?)',
    )
    .pluck()
  const selectOwing = database
    .prepare<[bigint, bigint], Listed>(
      `SELECT id, ends, ${columns} FROM channels WHERE owes = 1 AND number > ? AND number <= ? ORDER BY number`,
    )
    .raw()
  const selectDue = database
    .prepare<[bigint, bigint, bigint, bigint], Listed>(
      `SELECT id, ends, ${columns} FROM channels WHERE owes = 1 AND number > ? AND number <= ? ` +
        "AND (charged - claimed >= ? OR expiry <= ? OR status <> 'open') ORDER BY number",
    )
    .raw()
  const selectEnded = database
    .prepare<[number, bigint, bigint, number], Listed>(
      `SELECT id, ends, ${columns} FROM channels WHERE ends < ? AND (ends, number) > (?, ?) ORDER BY ends, number LIMIT ?`,
    )
    .raw()
  const selectSums = database.prepare<[bigint, bigint], Sums>(`
    SELECT status, count(*) AS count, sum(alarm) AS alarms,
      ${summed.map((name) => `sum(${summandOf(name)} >> 32) AS ${name}_high, sum(${summandOf(name)} & 4294967295) AS ${name}_low`)}
    FROM channels WHERE number > ? AND number <= ? GROUP BY status
  `)

  const putOutcome = database.prepare<unknown[]>(
    'INSERT OR REPLACE INTO outcomes (channel, key, fingerprint, ends_at, response) VALUES (?, ?, ?, ?, ?)',
  )
  const selectOutcome = database.prepare<[Buffer, Buffer, number], OutcomeRow>(
    'SELECT fingerprint, response FROM outcomes WHERE channel = ? AND key = ? AND ends_at > ?',
  )
  const deleteOutcomes = database.prepare<[Buffer]>('DELETE FROM outcomes WHERE channel = ?')
  const deleteOldOutcomes = database.prepare<[number, number]>(
    'DELETE FROM outcomes WHERE number IN (SELECT number FROM outcomes WHERE ends_at <= ? LIMIT ?)',
  )

  const putDay = database.prepare<unknown[]>(
    'INSERT INTO days (day, channel, consumer, charged, requests) VALUES (?, ?, ?, ?, ?) ' +
      'ON CONFLICT DO UPDATE SET charged = charged + excluded.charged, requests = requests + excluded.requests',
  )
  const selectNextDay = database
    .prepare<[number, number], bigint | null>(
      'SELECT min(day) FROM (SELECT min(day) AS day FROM days WHERE day > ? ' +
        'UNION ALL SELECT min(charged_on) FROM channels WHERE charged_on > ?)',
    )
    .pluck()
  // By channel from both tables at once: one that gets its row in `days` meanwhile is seen once all the same.
  const selectDay = database.prepare<[{ day: bigint; after: Buffer; limit: number }], DayRow>(`
    SELECT channel, consumer, rest, sum(charged) AS charged, sum(requests) AS requests FROM (
      SELECT * FROM (SELECT channel, consumer, NULL AS rest, charged, requests FROM days
        WHERE day = :day AND channel > :after ORDER BY channel LIMIT :limit)
      UNION ALL
      SELECT * FROM (SELECT id, NULL, rest, charged - booked, requests - booked_requests FROM channels
        WHERE charged_on = :day AND id > :after ORDER BY id LIMIT :limit)
    ) GROUP BY channel ORDER BY channel LIMIT :limit
  `)

  const putClaim = database.prepare<unknown[]>(
    'INSERT INTO claims (tx, channel, consumer, amount, fee, gas_cost, at) VALUES (?, ?, ?, ?, ?, ?, ?)',
  )
  const selectClaims = database.prepare<[bigint, number, number, number], ClaimRow>(
    'SELECT * FROM claims WHERE number > ? AND at >= ? AND at < ? ORDER BY number LIMIT ?',
  )

  function last(): bigint {
    return selectLast.get() ?? 0n
  }

  function book({ channelId, consumer }: Account, row: Row | undefined, end: DayEnd): void {
    const charged = end.charged - (row?.booked ?? 0n)
    const requests = end.requests - (row?.bookedRequests ?? 0n)
    putDay.run(end.day, toBytes(channelId), toBytes(consumer), charged, requests)
  }

  const fromList = ([id, , ...row]: Listed) => toRow(toHex(id), provider, row)

  /** @throws Error when the row isn't there: what this process knows of it must not pass for written. */
  function update(statement: typeof updateOften, values: unknown[]): void {
    if (statement.run(...values).changes !== 1) throw new Error('a row that was there is gone')
  }

  return {
    row(channelId: Hex): Row | undefined {
      const row = selectRow.get(toBytes(channelId))
      return row && toRow(channelId, provider, row)
    },

    /** Writes a step, and returns the row as it is now. `before`: the row as it was. */
    write(before: Row | undefined, { record, outcome, dayEnd, claim }: Writes): Row {
      const { account } = record
      const { channelId, authorized, charged, requests, reserved } = account
      if (dayEnd) book(account, before, dayEnd)
      const booked = dayEnd?.charged ?? before?.booked ?? 0n
      const bookedRequests = dayEnd?.requests ?? before?.bookedRequests ?? 0n
      const often = [authorized, charged, requests, reserved, encodeRest(record)]
      let number = before?.number
      if (number !== undefined && before && !dayEnd && !seldomChanged(before.record.account, account))
        update(updateOften, [...often, number])
      else {
        const { status, alarm, expiry, closedAt, chargedOn, claimed } = account
        const seldom = [
          ...[status, Number(alarm), owes(account), expiry, closedAt ?? null, endOf(account), claimed],
          ...[chargedOn ?? null, booked, bookedRequests],
        ]
        if (number !== undefined) update(updateSeldom, [...seldom, ...often, number])
        else {
          const fixed = [toBytes(channelId), account.deposit]
          number = BigInt(insertRow.run(...fixed, ...seldom, ...often).lastInsertRowid)
        }
      }
      if (outcome) {
        const { keyId, fingerprint, endsAt, response } = outcome
        putOutcome.run(toBytes(channelId), toBytes(keyId), toBytes(fingerprint), endsAt, response)
      }
      if (claim) {
        const { txHash, consumer, amount, fee, gasCost, at } = claim
        const parts = [toBytes(txHash), toBytes(channelId), toBytes(consumer)]
        putClaim.run(...parts, amount, String(fee), String(gasCost), at)
      }
      return { number, record, booked, bookedRequests }
    },

    /**
     * Goes by the number of the row, so that a portion costs the same however few of its rows match. A damaged row is said to
     * `log` and left out: what is to be claimed on the others must not wait for it.
     */
    *pages(filter: ChannelFilter, log: (message: string) => void): Generator<Account[]> {
      const { status, unclaimedOver, due } = filter
      const sound = skipDamaged((row: Listed) => fromList(row).record.account, {
        name: ([id]) => `channel ${toHex(id)}`,
        log,
      })
      const toAccounts = (rows: Listed[]) => sound.read(rows).filter((account) => matches(account, filter))
      if (unclaimedOver !== undefined && unclaimedOver >= 0n) {
        for (let after: bigint = 0n; ; ) {
          const until = selectOwingEnd.get(after, pageSize) ?? undefined
          if (until === undefined) return sound.end()
          yield toAccounts(
            due
              ? selectDue.all(after, until, stored(due.unclaimed), stored(due.expiry))
              : selectOwing.all(after, until),
          )
          after = until
        }
      }
      const end = last()
      for (let after = 0n; after < end; after += BigInt(pageSize))
        yield toAccounts(selectPage.all(after, after + BigInt(pageSize), status ?? null))
      sound.end()
    },

    /** The sums of one portion after another. */
    *totals(): Generator<LedgerTotals> {
      const portion = 10n * BigInt(pageSize)
      const end = last()
      for (let after = 0n; after < end; after += portion) {
        const totals = noTotals()
        for (const { status, count, alarms, ...sums } of selectSums.all(after, after + portion)) {
          totals[status] += Number(count)
          totals.alarms += Number(alarms)
          // SQLite refuses to add up beyond 64 bits.
          for (const name of summed) totals[name] += (sums[`${name}_high`] << 32n) + sums[`${name}_low`]
        }
        yield totals
      }
    },

    outcome(channelId: Hex, keyId: Hex, now: number): Outcome | undefined {
      const row = selectOutcome.get(toBytes(channelId), toBytes(keyId), now)
      return row && { fingerprint: toHex(row.fingerprint), response: new Uint8Array(row.response) }
    },

    *days({ from, to }: DayRange): Generator<ChargedDay[]> {
      const limit = pageSize
      const until = to === undefined ? Number.POSITIVE_INFINITY : (Day.parse(to) ?? 0)
      let day = (from === undefined ? 0 : (Day.parse(from) ?? 0)) - 1
      for (;;) {
        const next = selectNextDay.get(day, day)
        if (next === undefined || next === null || next > until) return
        day = Number(next)
        for (let after: Buffer = Buffer.alloc(0); ; ) {
          const rows = selectDay.all({ day: next, after, limit })
          yield rows.map(({ channel, consumer, rest, charged, requests }) => ({
            ...{ day: Day.format(day), channelId: toHex(channel), charged, requests },
            consumer: consumer ? toHex(consumer) : decodeRest(rest).consumer,
          }))
          if (rows.length < limit) break
          after = rows.at(-1)?.channel ?? after
        }
      }
    },

    *claims({ from, to }: DayRange): Generator<ClaimRecord[]> {
      const since = ((from === undefined ? undefined : Day.parse(from)) ?? 0) * (Day.milliseconds / 1000)
      const until =
        to === undefined ? Number.MAX_SAFE_INTEGER : ((Day.parse(to) ?? 0) + 1) * (Day.milliseconds / 1000)
      for (let after = 0n; ; ) {
        const rows = selectClaims.all(after, since, until, pageSize)
        yield rows.map(({ tx, channel, consumer, amount, fee, gas_cost, at }) => ({
          ...{ txHash: toHex(tx), channelId: toHex(channel), consumer: toHex(consumer) },
          ...{ amount, fee: BigInt(fee), gasCost: BigInt(gas_cost), at },
        }))
        if (rows.length < pageSize) return
        after = rows.at(-1)?.number ?? after
      }
    },

    /** Drops a portion of the outcomes whose time is up, and says how many. */
    dropOldOutcomes(now: number): number {
      return deleteOldOutcomes.run(now, pageSize).changes
    },

    /**
     * Those that are over of a portion of the channels that have ended. `next`: where the next portion begins. A row that
     * can't be read stays.
     */
    ended(isOver: (account: Account, now: number) => boolean, now: number, [ends, number]: After): Ended {
      const found = selectEnded.all(Math.floor(now / 1000), ends, number, pageSize / 4)
      const over = found.flatMap((columns) => {
        try {
          const row = fromList(columns)
          return isOver(lapse(row.record, now).account, now) ? [row] : []
        } catch {
          return []
        }
      })
      const last = found.at(-1)
      return { over, next: last && [last[1], last[2]] }
    },

    /** Drops a channel and its outcomes, and says how many these were. What was charged goes to its day. */
    drop(row: Row): number {
      const { account } = row.record
      const { channelId, chargedOn: day, charged, requests } = account
      if (day !== undefined) book(account, row, { day, charged, requests })
      deleteRow.run(row.number)
      return deleteOutcomes.run(toBytes(channelId)).changes
    },
  }
}

export function noTotals(): LedgerTotals {
  return {
    ...{ open: 0, closing: 0, closed: 0, alarms: 0 },
    ...{ deposit: 0n, authorized: 0n, charged: 0n, reserved: 0n, claimed: 0n, unused: 0n },
  }
}

/** Adds the totals of a portion to those of the others. */
export function addTotals(totals: LedgerTotals, portion: LedgerTotals): void {
  for (const name of ['open', 'closing', 'closed', 'alarms'] as const) totals[name] += portion[name]
  for (const name of summed) totals[name] += portion[name]
}

const summed = ['deposit', 'authorized', 'charged', 'reserved', 'claimed', 'unused'] as const

const summandOf = (name: (typeof summed)[number]) => (name === 'unused' ? 'max(claimed - charged, 0)' : name)

type Sums = { status: ChannelStatus; count: bigint; alarms: bigint } & Record<
  `${(typeof summed)[number]}_${'high' | 'low'}`,
  bigint
>

const columns =
  'number, status, alarm, expiry, closed_at, deposit, claimed, charged_on, booked, booked_requests, authorized, ' +
  'charged, requests, reserved, rest'

type Columns = [
  ...[number: bigint, status: ChannelStatus, alarm: bigint, expiry: bigint, closedAt: bigint | null],
  ...[deposit: bigint, claimed: bigint, chargedOn: bigint | null, booked: bigint, bookedRequests: bigint],
  ...[authorized: bigint, charged: bigint, requests: bigint, reserved: bigint, rest: Buffer],
]

type Listed = [id: Buffer, ends: bigint, ...Columns]

type OutcomeRow = { fingerprint: Buffer; response: Buffer }

/** Of a day that has ended, with its `consumer`; of one that hasn't, with the `rest` of the channel. */
type DayRow = { channel: Buffer; charged: bigint; requests: bigint } & (
  | { consumer: Buffer; rest: null }
  | { consumer: null; rest: Buffer }
)

type ClaimRow = Record<'tx' | 'channel' | 'consumer', Buffer> &
  Record<'number' | 'amount' | 'at', bigint> &
  Record<'fee' | 'gas_cost', string>

function toRow(channelId: Hex, provider: Address, columns: Columns): Row {
  const [number, status, alarm, expiry, closedAt, deposit, claimed, chargedOn, ...changing] = columns
  const [booked, bookedRequests, authorized, charged, requests, reserved, blob] = changing
  const rest = attemptDecode(channelId, blob)
  const record: ChannelRecord = {
    account: {
      channelId,
      consumer: rest.consumer,
      provider,
      deposit,
      expiry,
      proof: rest.proof,
      firstSeen: rest.firstSeen,
      status,
      closedAt: closedAt ?? undefined,
      authorized,
      charged,
      requests,
      chargedOn: chargedOn === null ? undefined : Number(chargedOn),
      reserved,
      claimed,
      accounted: rest.accounted,
      claiming: rest.claiming,
      finalAmount: rest.finalAmount,
      alarm: alarm !== 0n,
      nonces: rest.nonces,
      highest: rest.highest,
      next: rest.next,
      claimable: rest.claimable,
    },
    leases: rest.leases,
  }
  assertSound(record)
  return { number, record, booked, bookedRequests }
}

function attemptDecode(channelId: Hex, blob: Buffer): Rest {
  try {
    return decodeRest(blob)
  } catch (error) {
    throw new LedgerInvariantError(channelId, 'its row cannot be read', String(error))
  }
}

const owes = ({ charged, claimed }: Account): number => (charged > claimed ? 1 : 0)

function seldomChanged(before: Account, after: Account): boolean {
  return (
    before.status !== after.status ||
    before.alarm !== after.alarm ||
    before.expiry !== after.expiry ||
    before.closedAt !== after.closedAt ||
    before.claimed !== after.claimed ||
    before.chargedOn !== after.chargedOn ||
    owes(before) !== owes(after)
  )
}

const toBytes = (hex: Hex): Buffer => Buffer.from(hex.slice(2), 'hex')
const toHex = (bytes: Buffer): Hex => `0x${bytes.toString('hex')}`
