import { createRequire } from 'node:module'
import type { Database } from 'better-sqlite3'
import type { Account } from '../packages/provider/src/ledger/Account.ts'
import type { LedgerIdentity } from '../packages/provider/src/ledger/Ledger.ts'
import { sqliteRows } from '../packages/provider/src/ledger/sqliteRows.ts'

/** Writes channels into an SQLite ledger that exists, beside its own steps: there is no other way to have a million soon. */
export function fillSqlite(path: string, identity: LedgerIdentity, accounts: Iterable<Account>): void {
  const database = openFile(path)
  database.defaultSafeIntegers()
  // Of what it does here nothing needs to survive.
  database.pragma('synchronous = OFF')
  database.pragma('cache_size = -1000000')
  const rows = sqliteRows(database, identity)
  database.exec('BEGIN')
  for (const account of accounts) rows.write(undefined, { record: { account, leases: [] } })
  database.exec('COMMIT')
  database.close()
}

/** The SQLite of the provider: a benchmark has no dependency of its own on it. */
function openFile(path: string): Database {
  const require = createRequire(new URL('../packages/provider/package.json', import.meta.url))
  return new (require('better-sqlite3'))(path)
}
