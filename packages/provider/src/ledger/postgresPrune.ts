import type { Hex } from 'viem'
import { type Account, lapse } from './Account.ts'
import type { LedgerIdentity } from './Ledger.ts'
import { nowColumn } from './nowColumn.ts'
import type { PostgresPool } from './postgresPool.ts'
import { type ChannelRow, toHex, toRecord } from './postgresRows.ts'
import type { Tables } from './postgresSchema.ts'

const portion = 1000

/**
 * Drops what can't matter any more, some rows at a time. Rows that another process is at are left for the next time, so
 * nobody waits for this.
 */
export function postgresPrune(
  pool: PostgresPool,
  options: {
    tables: Tables
    identity: LedgerIdentity
    now: () => number
    observe: (serverMs: number, askedAt: number) => void
    forget: (channelId: Hex) => void
  },
) {
  const { tables, identity, now, observe, forget } = options
  const query = <row>(text: string, values: unknown[]) =>
    pool.run((session) => session.query<row>({ text, values }))

  /** What is dropped is gone: the local clock isn't asked what is old. */
  async function askClock(): Promise<void> {
    await pool.run(async (session) => {
      const askedAt = performance.now()
      const { rows } = await session.query<{ now: string }>({ text: `SELECT ${nowColumn}` })
      observe(Number(rows[0]?.now), askedAt)
    })
  }

  async function pruneOutcomes(): Promise<number> {
    let total = 0
    for (let count = portion; count === portion; total += count) count = await pruneSomeOutcomes()
    return total
  }

  async function pruneSomeOutcomes(): Promise<number> {
    const { rows } = await query<{ count: string }>(
      `WITH old AS (
        SELECT channel, key FROM ${tables.outcomes} WHERE ends_at <= $1 ORDER BY ends_at LIMIT ${portion}
        FOR UPDATE SKIP LOCKED
      ), dropped AS (
        DELETE FROM ${tables.outcomes} AS o USING old WHERE o.channel = old.channel AND o.key = old.key RETURNING 1
      ) SELECT count(*) FROM dropped`,
      [now()],
    )
    return Number(rows[0]?.count)
  }

  /** Channels that may be over: none is before it has expired. By the index, so that what hasn't isn't looked at. */
  async function* candidates(): AsyncGenerator<ChannelRow[]> {
    for (let after: ChannelRow | undefined, isFirst = true; isFirst || after; isFirst = false) {
      const { rows }: { rows: ChannelRow[] } = await query<ChannelRow>(
        `SELECT * FROM ${tables.channels} WHERE expiry < $1 AND (expiry, number) > ($2, $3)
        ORDER BY expiry, number LIMIT ${portion}`,
        [Math.floor(now() / 1000), after?.expiry ?? '-1', after?.number ?? '0'],
      )
      yield rows
      after = rows.at(-1)
    }
  }

  /** Those that nobody has touched since they were read. */
  async function drop(rows: ChannelRow[]): Promise<{ channels: number; outcomes: number }> {
    const result = await query<{ channels: string; outcomes: string }>(
      `WITH over AS MATERIALIZED (SELECT * FROM json_to_recordset($1) AS o (id bytea, version bigint)),
      held AS (
        SELECT c.id FROM over JOIN ${tables.channels} AS c ON c.id = over.id AND c.version = over.version
        FOR UPDATE OF c SKIP LOCKED
      ),
      dropped AS (DELETE FROM ${tables.channels} AS c USING held WHERE c.id = held.id RETURNING c.*),
      days AS (
        INSERT INTO ${tables.dayEnds} (channel, day, consumer, charged, requests)
        SELECT id, charged_on, consumer, charged, requests FROM dropped WHERE charged_on IS NOT NULL
        ON CONFLICT (channel, day) DO UPDATE SET charged = excluded.charged, requests = excluded.requests
      ),
      answers AS (DELETE FROM ${tables.outcomes} AS o USING dropped WHERE o.channel = dropped.id RETURNING 1)
      SELECT (SELECT count(*) FROM dropped) AS channels, (SELECT count(*) FROM answers) AS outcomes`,
      [JSON.stringify(rows.map(({ id, version }) => ({ id: `\\x${id.toString('hex')}`, version })))],
    )
    return { channels: Number(result.rows[0]?.channels), outcomes: Number(result.rows[0]?.outcomes) }
  }

  return async function prune(isOver: (account: Account, now: number) => boolean) {
    await askClock()
    const count = { channels: 0, outcomes: await pruneOutcomes() }
    for await (const rows of candidates()) {
      const time = now()
      const over = rows.filter((row) => {
        try {
          return isOver(lapse(toRecord(row, identity), time).account, time)
        } catch {
          // A damaged row stays: it hinders nobody.
          return false
        }
      })
      if (over.length === 0) continue
      const { channels, outcomes } = await drop(over)
      for (const { id } of over) forget(toHex(id))
      count.channels += channels
      count.outcomes += outcomes
    }
    return count
  }
}
