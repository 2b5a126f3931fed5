import { resolve } from 'node:path'
import { zeroAddress } from 'viem'
import { LedgerFileError } from '../ledger/Errors.ts'
import type { DayRange } from '../ledger/Ledger.ts'
import type { LedgerStore } from '../ledger/LedgerStore.ts'

/** A ledger's accounts, to be read: whatever its provider does meanwhile, nothing is changed, frozen or made. */
export type Books = {
  days(range: DayRange): ReturnType<LedgerStore['days']>
  claims(range: DayRange): ReturnType<LedgerStore['claims']>
  close(): Promise<void>
}

/**
 * Opens the ledger at `source`, a file of SQLite or a URL of PostgreSQL, for reading.
 * @throws LedgerFileError | LedgerUnavailableError | LedgerUsageError
 */
export async function openBooks(
  source: string,
  { schema = 'drain' }: { schema?: string | undefined } = {},
): Promise<Books> {
  return /^postgres(?:ql)?:/i.test(source) ? postgresBooks(source, schema) : sqliteBooks(source)
}

// Each imports its database when it is needed: an operator has only one of them installed.

async function sqliteBooks(path: string): Promise<Books> {
  const file = resolve(path)
  const { default: SQLite } = await import('better-sqlite3')
  const { isLedger } = await import('../ledger/sqliteFile.ts')
  const { sqliteRows } = await import('../ledger/sqliteRows.ts')
  try {
    const database = new SQLite(file, { readonly: true, fileMustExist: true })
    if (!isLedger(database))
      throw new LedgerFileError(file, 'is not a ledger', { action: 'Name a ledger’s file.' })
    database.defaultSafeIntegers()
    // Whose ledger it is matters for accounts that are served, not for these.
    const rows = sqliteRows(database, { provider: zeroAddress })
    return {
      days: async function* (range) {
        yield* rows.days(range)
      },
      claims: async function* (range) {
        yield* rows.claims(range)
      },
      async close() {
        database.close()
      },
    }
  } catch (cause) {
    if (cause instanceof LedgerFileError) throw cause
    throw new LedgerFileError(file, 'cannot be read as a ledger', {
      action: 'Check the name, and the permissions of the file and its folder.',
      cause,
    })
  }
}

async function postgresBooks(url: string, schema: string): Promise<Books> {
  const { postgresLists } = await import('../ledger/postgresLists.ts')
  const { postgresPool } = await import('../ledger/postgresPool.ts')
  const { tablesOf } = await import('../ledger/postgresSchema.ts')
  const pool = postgresPool(url, { timeoutMs: 10_000, prepare: async () => {} })
  const { days, claims } = postgresLists(pool, tablesOf(schema))
  return { days, claims, close: () => pool.close() }
}
