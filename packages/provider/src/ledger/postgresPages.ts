import type { Account } from './Account.ts'
import type { ChannelFilter, LedgerIdentity } from './Ledger.ts'
import type { PostgresPool } from './postgresPool.ts'
import { type ChannelRow, toHex, toRecord } from './postgresRows.ts'
import type { Tables } from './postgresSchema.ts'
import { skipDamaged } from './skipDamaged.ts'

/** How many rows are read in one go: some ten milliseconds. */
const pageSize = 1000

/**
 * Goes through all channels, in portions that each take a connection for a moment only. A damaged row is said to `log` and
 * left out: what is to be claimed on the others must not wait for it.
 */
export function postgresPages(
  pool: PostgresPool,
  { tables, identity, log }: { tables: Tables; identity: LedgerIdentity; log: (message: string) => void },
) {
  /** Goes by the number of the row, so that a portion costs the same however few of its rows match. */
  return async function* pages(filter: ChannelFilter): AsyncGenerator<Account[]> {
    const isOwing = filter.unclaimedOver !== undefined && filter.unclaimedOver >= 0n
    const sound = skipDamaged((row: ChannelRow) => toRecord(row, identity).account, {
      name: ({ id }) => `channel ${toHex(id)}`,
      log,
    })
    for (let after: string | null = '0'; after !== null; ) {
      const { rows }: { rows: PageRow[] } = await pool.run((session) =>
        session.query<PageRow>({
          text: `
            WITH page AS (
              SELECT * FROM ${tables.channels} WHERE number > $1 ${isOwing ? 'AND owes' : ''}
              ORDER BY number LIMIT ${pageSize}
            )
            SELECT (SELECT max(number) FROM page) AS last, page.* FROM (VALUES (1)) AS one LEFT JOIN page
            ON status = coalesce($2, status) AND ($3::numeric IS NULL OR charged - claimed > $3::numeric)
            AND ($4::numeric IS NULL OR charged - claimed >= $4::numeric OR expiry <= $5::numeric OR status <> 'open')
            ORDER BY number`,
          values: [
            after,
            filter.status ?? null,
            filter.unclaimedOver?.toString() ?? null,
            filter.due?.unclaimed.toString() ?? null,
            filter.due?.expiry.toString() ?? null,
          ],
        }),
      )
      after = rows[0]?.last ?? null
      if (after !== null) yield sound.read(rows.filter(isChannel))
    }
    sound.end()
  }
}

type PageRow = { last: string | null } & Partial<ChannelRow>

function isChannel(row: PageRow): row is PageRow & ChannelRow {
  return Buffer.isBuffer(row.id)
}
