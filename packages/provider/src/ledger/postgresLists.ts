import * as Day from './Day.ts'
import type { ChargedDay, ClaimRecord, DayRange, LedgerTotals } from './Ledger.ts'
import { longMs } from './postgresDatabase.ts'
import type { PostgresPool } from './postgresPool.ts'
import { type ClaimRow, toClaim, toHex } from './postgresRows.ts'
import type { Tables } from './postgresSchema.ts'
import { skipDamaged } from './skipDamaged.ts'

/** How many rows are read in one go: some ten milliseconds. */
const pageSize = 1000

/** The last of days and of seconds that the tables can hold. */
const lastDay = 2 ** 31 - 1

/**
 * What adds up or goes through all days and claims, in portions that each take a connection for a moment only. A claim that
 * can't be read is said to `log` and left out.
 */
export function postgresLists(
  pool: PostgresPool,
  tables: Tables,
  log: (message: string) => void = console.warn,
) {
  async function totals(): Promise<LedgerTotals> {
    const count = (condition: string) => `count(*) FILTER (WHERE ${condition})`
    const sums = ['deposit', 'authorized', 'charged', 'reserved', 'claimed'] as const
    const [row] = await pool.run(async (session) => {
      // Here the whole table is to be read.
      await session.query({
        text: `BEGIN READ ONLY; SET LOCAL enable_seqscan = on; SET LOCAL statement_timeout = ${longMs}`,
      })
      const { rows } = await session.query<Record<keyof LedgerTotals, string>>({
        text: `
          SELECT ${count("status = 'open'")} AS open, ${count("status = 'closing'")} AS closing,
            ${count("status = 'closed'")} AS closed, ${count('alarm')} AS alarms,
            ${sums.map((name) => `coalesce(sum(${name}), 0) AS ${name}`)},
            coalesce(sum(greatest(claimed - charged, 0)), 0) AS unused FROM ${tables.channels}`,
        timeoutMs: longMs,
      })
      await session.query({ text: 'COMMIT' })
      return rows
    })
    if (!row) throw new Error('sums are one row')
    return {
      open: Number(row.open),
      closing: Number(row.closing),
      closed: Number(row.closed),
      alarms: Number(row.alarms),
      deposit: BigInt(row.deposit),
      authorized: BigInt(row.authorized),
      charged: BigInt(row.charged),
      reserved: BigInt(row.reserved),
      claimed: BigInt(row.claimed),
      unused: BigInt(row.unused),
    }
  }

  /**
   * The ends of days, and the days that still run, which stand with their channels. One statement reads both: a day may end
   * meanwhile, but it is in one of the two.
   */
  async function* days(range: DayRange): AsyncGenerator<ChargedDay[]> {
    const { first, last } = bounds(range)
    for (let day = await nextDay(first); day !== null && day <= last; day = await nextDay(day + 1)) {
      const text = Day.format(day)
      for (let after: Buffer | undefined = Buffer.alloc(0); after; ) {
        const { rows }: { rows: DayRow[] } = await query<DayRow>(
          `SELECT d.channel, d.consumer, d.charged - coalesce(b.charged, 0::bigint) AS charged,
            d.requests - coalesce(b.requests, 0::bigint) AS requests
          FROM (
            SELECT channel, consumer, charged, requests FROM ${tables.dayEnds} WHERE day = $1 AND channel > $2
            UNION ALL
            SELECT id, consumer, charged, requests FROM ${tables.channels} WHERE charged_on = $1 AND id > $2
            ORDER BY channel LIMIT ${pageSize}
          ) AS d LEFT JOIN LATERAL (
            SELECT charged, requests FROM ${tables.dayEnds} AS e WHERE e.channel = d.channel AND e.day < $1
            ORDER BY e.day DESC LIMIT 1
          ) AS b ON true ORDER BY d.channel`,
          [day, after],
        )
        yield rows.map(({ channel, consumer, charged, requests }) => ({
          day: text,
          channelId: toHex(channel),
          consumer: toHex(consumer),
          charged: BigInt(charged),
          requests: BigInt(requests),
        }))
        after = rows.at(-1)?.channel
      }
    }
  }

  async function nextDay(from: number): Promise<number | null> {
    const { rows } = await query<{ day: number | null }>(
      `SELECT least((SELECT min(day) FROM ${tables.dayEnds} WHERE day >= $1),
        (SELECT min(charged_on) FROM ${tables.channels} WHERE charged_on >= $1)) AS day`,
      [from],
    )
    return rows[0]?.day ?? null
  }

  async function* claims(range: DayRange): AsyncGenerator<ClaimRecord[]> {
    const { first, last } = bounds(range)
    const seconds = Day.milliseconds / 1000
    const sound = skipDamaged(toClaim, {
      name: ({ channel, tx_hash }) =>
        `the claim on channel ${toHex(channel)} in transaction ${toHex(tx_hash)}`,
      log,
    })
    for (let after: string | undefined = '0'; after !== undefined; ) {
      const { rows }: { rows: ClaimRow[] } = await query<ClaimRow>(
        `SELECT * FROM ${tables.claims} WHERE number > $1 AND at >= $2 AND at < $3 ORDER BY number LIMIT ${pageSize}`,
        [after, first * seconds, (last + 1) * seconds],
      )
      yield sound.read(rows)
      after = rows.at(-1)?.number
    }
    sound.end()
  }

  const query = <row>(text: string, values: unknown[]) =>
    pool.run((session) => session.query<row>({ text, values }))

  return { totals, days, claims }
}

type DayRow = { channel: Buffer; consumer: Buffer; charged: string; requests: string }

function bounds({ from, to }: DayRange): { first: number; last: number } {
  return {
    first: (from === undefined ? undefined : Day.parse(from)) ?? 0,
    last: (to === undefined ? undefined : Day.parse(to)) ?? lastDay,
  }
}
