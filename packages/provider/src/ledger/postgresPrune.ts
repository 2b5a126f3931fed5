import type { Hex } from 'viem'
import { type Account, lapse } from './Account.ts'
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
  tables: Tables,
  { now, forget }: { now: () => number; forget: (channelId: Hex) => void },
) {
  const query = <row>(text: string, values: unknown[]) =>
    pool.run((session) => session.query<row>({ text, values }))

  async function pruneOutcomes(): Promise<number> {
    const { rows } = await query<{ count: string }>(
      `WITH old AS (
        SELECT channel, key FROM ${tables.outcomes} WHERE ends_at <= $1 ORDER BY ends_at LIMIT ${portion}
        FOR UPDATE SKIP LOCKED
      ), dropped AS (
        DELETE FROM ${tables.outcomes} AS o USING old WHERE o.channel = old.channel AND o.key = old.key RETURNING 1
      ) SELECT count(*) FROM dropped`,
      [now()],
    )
    const count = Number(rows[0]?.count)
    return count < portion ? count : count + (await pruneOutcomes())
  }

  /** Channels that may be over: none is before it was closed or has expired. */
  async function* candidates(): AsyncGenerator<ChannelRow[]> {
    for (let after: string | undefined = '0'; after !== undefined; ) {
      const { rows }: { rows: ChannelRow[] } = await query<ChannelRow>(
        `SELECT * FROM ${tables.channels} WHERE number > $1 AND (status = 'closed' OR expiry < $2)
        ORDER BY number LIMIT ${portion}`,
        [after, Math.floor(now() / 1000)],
      )
      yield rows
      after = rows.at(-1)?.number
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
    const count = { channels: 0, outcomes: await pruneOutcomes() }
    for await (const rows of candidates()) {
      const time = now()
      const over = rows.filter((row) => {
        try {
          return isOver(lapse(toRecord(row), time).account, time)
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
