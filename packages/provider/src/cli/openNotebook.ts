import { resolve } from 'node:path'
import { createNotebook } from '../ledger/createNotebook.ts'
import { LedgerFileError, LedgerUnavailableError } from '../ledger/Errors.ts'
import type { LedgerIdentity } from '../ledger/Ledger.ts'
import type { LedgerStore } from '../ledger/LedgerStore.ts'
import type { Notebook } from '../ledger/Notebook.ts'
import { isPostgres, toIdentity } from './openBooks.ts'

/** A ledger's notes, to be read and written beside its provider. Nothing but notes is touched: no channel is frozen by it. */
export type OpenNotebook = { identity: LedgerIdentity; notebook: Notebook; close(): Promise<void> }

type Store = Pick<LedgerStore, 'writeNote' | 'notes'>

/** How long another process's transaction is waited for. */
const busyTimeoutMs = 5_000

/**
 * Opens the notes of the ledger at `source`, a file of SQLite or a URL of PostgreSQL. Unlike a ledger that is opened to serve, it
 * is not looked at whether it was copied: that stays for the provider to find.
 * @throws LedgerFileError | LedgerUnavailableError | LedgerUsageError
 */
export async function openNotebook(
  source: string,
  options: { schema?: string | undefined } = {},
): Promise<OpenNotebook> {
  const { identity, store, close } = isPostgres(source)
    ? await postgresNotebook(source, options.schema ?? 'drain')
    : await sqliteNotebook(source)
  return { identity, notebook: createNotebook(store), close }
}

async function sqliteNotebook(path: string) {
  const file = resolve(path)
  const { default: SQLite } = await import('better-sqlite3')
  const { toLedgerError } = await import('../ledger/groupCommit.ts')
  const { isLedger } = await import('../ledger/sqliteFile.ts')
  const { sqliteNotes } = await import('../ledger/sqliteNotes.ts')
  try {
    const database = new SQLite(file, { fileMustExist: true, timeout: busyTimeoutMs })
    try {
      if (!isLedger(database))
        throw new LedgerFileError(file, 'is not a ledger', { action: 'Name a ledger’s file.' })
      database.defaultSafeIntegers()
      // The provider flushes its log by itself; here COMMIT does. Copying the log into the file is left to the provider.
      database.pragma('synchronous = FULL')
      database.pragma('wal_autocheckpoint = 0')
      const meta = database.prepare<[string], string>('SELECT value FROM meta WHERE name = ?').pluck()
      const identity = toIdentity(file, (name) => meta.get(name))
      if (!database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'notes'").get()) throw tooOld(file)
      const notes = sqliteNotes(database)
      const store: Store = {
        async writeNote(key, decide) {
          try {
            const step = database.transaction(() => {
              const { result, write } = decide(notes.text(key), Date.now())
              if (write !== undefined) notes.put(key, write)
              return result
            })
            return step.immediate()
          } catch (error) {
            throw toLedgerError(error, `${file} cannot be written`)
          }
        },
        notes: async (from, until) => notes.portion(from, until),
      }
      return { identity, store, close: async () => void database.close() }
    } catch (error) {
      database.close()
      throw error
    }
  } catch (cause) {
    if (cause instanceof LedgerFileError) throw cause
    throw new LedgerFileError(file, 'cannot be opened as a ledger', {
      action: 'Check the name, and the permissions of the file and its folder.',
      cause,
    })
  }
}

async function postgresNotebook(url: string, schema: string) {
  const { postgresNotes } = await import('../ledger/postgresNotes.ts')
  const { postgresPool } = await import('../ledger/postgresPool.ts')
  const { tablesOf } = await import('../ledger/postgresSchema.ts')
  const tables = tablesOf(schema)
  const pool = postgresPool(url, { timeoutMs: 10_000, prepare: async () => {} })
  try {
    const name = `schema ${tables.schema} of ${pool.name}`
    const { rows } = await pool.run((session) =>
      session.query<{ name: string; value: string; mark: string }>({
        text: `SELECT name, value, xmin::text AS mark FROM ${tables.meta}`,
      }),
    )
    const meta = new Map(rows.map((row) => [row.name, row.value]))
    const identity = toIdentity(name, (one) => meta.get(one))
    if (Number(meta.get('version')) < 3) throw tooOld(name)
    // By it each step finds out that the ledger is still the same.
    const mark = rows.find((row) => row.name === 'origin')?.mark
    if (mark === undefined) throw new LedgerUnavailableError(`${name} was restored; start a provider first`)
    const notes = postgresNotes(pool, { tables, mark: () => mark, now: Date.now, observe: () => {} })
    const store: Store = { writeNote: notes.write, notes: notes.portion }
    return { identity, store, close: () => pool.close() }
  } catch (error) {
    await pool.close()
    throw error
  }
}

function tooOld(name: string): LedgerFileError {
  return new LedgerFileError(name, 'is of a version that had no alarms', {
    action: 'Start its provider once, which upgrades it.',
  })
}
