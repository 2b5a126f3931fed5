import { randomBytes } from 'node:crypto'
import type { Hex } from 'viem'
import { LedgerUnavailableError } from './Errors.ts'
import type { ClaimRecord, LedgerIdentity, Outcome } from './Ledger.ts'
import type { ChannelRecord, DayEnd } from './LedgerStore.ts'
import { nowColumn } from './nowColumn.ts'
import type { PostgresPool, Session } from './postgresPool.ts'
import {
  type ChannelRow,
  changingColumns,
  claimTypes,
  dayEndTypes,
  fromClaim,
  fromDayEnd,
  fromOutcomes,
  fromRecord,
  outcomeRows,
  toBytes,
  toRecord,
  writtenColumns,
  writtenTypes,
} from './postgresRows.ts'
import type { Tables } from './postgresSchema.ts'

/** A row as it was read. `version` undefined: there was none. `error`: it is damaged. */
export type Row = {
  readonly version: bigint | undefined
  readonly record: ChannelRecord | undefined
  readonly error?: unknown
}

/** What a channel's row is to become, if it is still the `known` version; and what is written only with it. */
export type Change = {
  readonly channelId: Hex
  readonly known: bigint | undefined
  readonly version: bigint
  readonly record: ChannelRecord
  readonly outcomes: readonly (Outcome & { keyId: Hex; endsAt: number })[]
  readonly dayEnds: readonly DayEnd[]
  readonly claims: readonly ClaimRecord[]
}

/** Names a state of a row that has never been before: no restore or prune brings it back. */
export function aVersion(): bigint {
  return randomBytes(8).readBigInt64BE()
}

const absent: Row = { version: undefined, record: undefined }

/** Reads rows of channels, and writes those that nobody else has changed. */
export function postgresTable(
  pool: PostgresPool,
  options: {
    tables: Tables
    identity: LedgerIdentity
    mark: () => string | undefined
    /** Is told the server's clock whenever it was asked, in milliseconds, and when that was. */
    observe: (serverMs: number, askedAt: number) => void
  },
) {
  const { tables, identity, mark, observe } = options

  const readRows = `
    SELECT ${nowColumn}, c.* FROM (VALUES (1)) AS one LEFT JOIN ${tables.channels} AS c ON c.id = ANY ($1)`

  // Doesn't ask the clock: before a row is locked it may wait, and what it saw before that is past.
  const lockRows = (ids: readonly Hex[]) => `
    BEGIN; SELECT c.* FROM ${tables.channels} AS c
    WHERE c.id IN (${ids.map((id) => `'\\x${toBytes(id).toString('hex')}'::bytea`)}) ORDER BY c.id FOR UPDATE`

  /**
   * One statement, hence one transaction. A row that another process holds or has changed is passed over, not waited for:
   * so processes that write many channels at once can't lock each other up. What belongs to a row is written if it is.
   */
  const writeRows = (withMore: boolean) => `
    WITH origin AS (SELECT xmin::text AS mark FROM ${tables.meta} WHERE name = 'origin'),
    change AS MATERIALIZED (
      SELECT c.* FROM json_to_recordset($1) AS c (${writtenTypes}) WHERE (SELECT mark FROM origin) = $2
    ),
    held AS (
      SELECT change.* FROM change JOIN ${tables.channels} AS c ON c.id = change.id AND c.version = change.known
      FOR UPDATE OF c SKIP LOCKED
    ),
    updated AS (
      UPDATE ${tables.channels} AS c SET (${changingColumns}) = ROW (${changingColumns.map((name) => `held.${name}`)})
      FROM held WHERE c.id = held.id RETURNING c.id
    ),
    inserted AS (
      INSERT INTO ${tables.channels} (${writtenColumns}) SELECT ${writtenColumns} FROM change
      WHERE known IS NULL ORDER BY id ON CONFLICT (id) DO NOTHING RETURNING id
    ),
    written AS (SELECT id FROM updated UNION ALL SELECT id FROM inserted)
    ${withMore ? writeMore : ''}
    SELECT ${nowColumn}, set_config('synchronous_commit', 'on', true), (SELECT mark FROM origin) AS mark,
      ARRAY (SELECT encode(id, 'hex') FROM written) AS ids`

  const writeMore = `,
    more_outcomes AS (
      INSERT INTO ${tables.outcomes} (channel, key, fingerprint, response, ends_at)
      SELECT o.* FROM ${outcomeRows(3)} AS o (channel, key, fingerprint, response, ends_at)
      WHERE channel IN (SELECT id FROM written)
      ON CONFLICT (channel, key) DO UPDATE
      SET fingerprint = excluded.fingerprint, response = excluded.response, ends_at = excluded.ends_at
    ),
    more_day_ends AS (
      INSERT INTO ${tables.dayEnds} (channel, day, consumer, charged, requests)
      SELECT d.* FROM json_to_recordset($8) AS d (${dayEndTypes}) WHERE channel IN (SELECT id FROM written)
      ON CONFLICT (channel, day) DO UPDATE SET charged = excluded.charged, requests = excluded.requests
    ),
    more_claims AS (
      INSERT INTO ${tables.claims} (channel, consumer, amount, at, tx_hash, fee, gas_cost)
      SELECT k.* FROM json_to_recordset($9) AS k (${claimTypes}) WHERE channel IN (SELECT id FROM written)
    )`

  const statements = { plain: writeRows(false), full: writeRows(true) }

  function toRows(ids: readonly Hex[], found: readonly ChannelRow[]): Map<Hex, Row> {
    const rows = new Map<Hex, Row>(ids.map((id) => [id, absent]))
    for (const row of found) {
      const id: Hex = `0x${row.id.toString('hex')}`
      try {
        rows.set(id, { version: BigInt(row.version), record: toRecord(row, identity) })
      } catch (error) {
        rows.set(id, { ...absent, error })
      }
    }
    return rows
  }

  async function writeIn(session: Session, changes: readonly Change[]): Promise<ReadonlySet<Hex>> {
    const values = [
      toJson(changes.map(({ record, version, known }) => fromRecord(record, version, known))),
      mark(),
    ]
    const outcomes = changes.flatMap(({ channelId, outcomes }) =>
      outcomes.map((outcome) => ({ ...outcome, channelId })),
    )
    const others = [
      changes.flatMap(({ record, dayEnds }) => dayEnds.map((dayEnd) => fromDayEnd(record.account, dayEnd))),
      changes.flatMap(({ claims }) => claims.map(fromClaim)),
    ]
    const name = [outcomes, ...others].some(({ length }) => length > 0) ? 'full' : 'plain'
    const askedAt = performance.now()
    const { rows } = await session.query<{ now: string; mark: string | null; ids: string[] }>({
      name: `write ${name}`,
      text: statements[name],
      values: name === 'full' ? [...values, ...fromOutcomes(outcomes), ...others.map(toJson)] : values,
    })
    const [row] = rows
    if (!row || row.mark !== mark())
      throw new LedgerUnavailableError(
        `${pool.name} has another copy of the ledger than before; it is examined first`,
      )
    observe(Number(row.now), askedAt)
    return new Set(row.ids.map((id): Hex => `0x${id}`))
  }

  return {
    async read(ids: readonly Hex[]): Promise<Map<Hex, Row>> {
      return pool.run(async (session) => {
        const askedAt = performance.now()
        const { rows } = await session.query<ReadRow>({
          ...{ name: 'read', text: readRows, values: [ids.map(toBytes)] },
        })
        if (rows[0]) observe(Number(rows[0].now), askedAt)
        return toRows(ids, rows.filter(isChannel))
      })
    },

    /** Returns the ids of those that were written. */
    write: (changes: readonly Change[]) => pool.run((session) => writeIn(session, changes)),

    /** Keeps other processes from these rows while it lets `decide` change them. Returns what was written. */
    lock: (ids: readonly Hex[], decide: (rows: Map<Hex, Row>) => Change[]) =>
      pool.run(async (session) => {
        const { rows } = await session.query<ChannelRow>({ text: lockRows(ids) })
        const changes = decide(toRows(ids, rows))
        const written = changes.length > 0 ? await writeIn(session, changes) : new Set<Hex>()
        const { command } = await session.query({ text: 'COMMIT' })
        if (command !== 'COMMIT') throw new LedgerUnavailableError(`${pool.name} has undone a step`)
        return written
      }),
  }
}

type ReadRow = { now: string } & Partial<ChannelRow>

function isChannel(row: ReadRow): row is ReadRow & ChannelRow {
  return Buffer.isBuffer(row.id)
}

const toJson = (rows: unknown[]): string => JSON.stringify(rows)
