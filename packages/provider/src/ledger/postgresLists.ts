import type { Account } from './Account.ts'
import * as Day from './Day.ts'
import type { ChannelFilter, ChargedDay, ClaimRecord, DayRange, LedgerTotals } from './Ledger.ts'
import { longMs } from './postgresDatabase.ts'
import type { PostgresPool } from './postgresPool.ts'
import { type ChannelRow, type ClaimRow, toClaim, toHex, toRecord } from './postgresRows.ts'
import type { Tables } from './postgresSchema.ts'

/** How many rows are read in one go: some ten milliseconds. */
const pageSize = 1000

/** The last of days and of seconds that the tables can hold. */
const lastDay = 2 ** 31 - 1

/** What goes through all channels, days or claims, in portions that each take a connection for a moment only. */
export function postgresLists(pool: PostgresPool, tables: Tables) {
  /** Goes by the number of the row, so that a portion costs the same however few of its rows match. */
  async function* pages(filter: ChannelFilter): AsyncGenerator<Account[]> {
    const isOwing = filter.unclaimedOver !== undefined && filter.unclaimedOver >= 0n
    for (let after: string | null = '0'; after !== null; ) {
      const { rows }: { rows: PageRow[] } = await query<PageRow>(
        `WITH page AS (
          SELECT * FROM ${tables.channels} WHERE number > $1 ${isOwing ? 'AND owes' : ''} ORDER BY number LIMIT ${pageSize}
        )
        SELECT (SELECT max(number) FROM page) AS last, page.* FROM (VALUES (1)) AS one LEFT JOIN page
        ON status = coalesce($2, status) AND ($3::bigint IS NULL OR charged - claimed > $3) ORDER BY number`,
        [after, filter.status ?? null, filter.unclaimedOver?.toString() ?? null],
      )
      after = rows[0]?.last ?? null
      if (after !== null) yield rows.filter(isChannel).map((row) => toRecord(row).account)
    }
  }

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
            ${sums.map((name) => `coalesce(sum(${name}), 0) AS ${name}`)} FROM ${tables.channels}`,
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
          `SELECT d.channel, d.consumer, d.charged - coalesce(b.charged, 0) AS charged,
            d.requests - coalesce(b.requests, 0) AS requests
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
    for (let after: string | undefined = '0'; after !== undefined; ) {
      const { rows }: { rows: ClaimRow[] } = await query<ClaimRow>(
        `SELECT * FROM ${tables.claims} WHERE number > $1 AND at >= $2 AND at < $3 ORDER BY number LIMIT ${pageSize}`,
        [after, first * seconds, (last + 1) * seconds],
      )
      yield rows.map(toClaim)
      after = rows.at(-1)?.number
    }
  }

  const query = <row>(text: string, values: unknown[]) =>
    pool.run((session) => session.query<row>({ text, values }))

  return { pages, totals, days, claims }
}

type PageRow = { last: string | null } & Partial<ChannelRow>
type DayRow = { channel: Buffer; consumer: Buffer; charged: string; requests: string }

function isChannel(row: PageRow): row is PageRow & ChannelRow {
  return Buffer.isBuffer(row.id)
}

function bounds({ from, to }: DayRange): { first: number; last: number } {
  return {
    first: (from === undefined ? undefined : Day.parse(from)) ?? 0,
    last: (to === undefined ? undefined : Day.parse(to)) ?? lastDay,
  }
}
