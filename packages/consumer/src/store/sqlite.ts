import type { Database } from 'better-sqlite3'
import type { ClientStore } from './ClientStore.ts'
import { type Row, transactionTable } from './entries.ts'
import { plainSeal } from './plainSeal.ts'
import { openSqliteFile } from './sqliteFile.ts'
import { createStepQueue, type Outcome, type Step, takeStep } from './stepQueue.ts'

/**
 * A store in one SQLite file, for any number of processes on one machine. Needs the package `better-sqlite3`.
 *
 * What it acknowledged survives power loss (write-ahead log, `synchronous=FULL`); steps asked for at once share the flush. The file
 * is made readable by its owner only. Keep it on a local disk.
 *
 * @example
 * ```ts
 * const client = createDrainClient({ account, chainId: 137, limits, store: sqliteStore('drain-channels.db') })
 * ```
 * @throws {StoreFileError} `store_file`: damaged, or another program's. Nothing is changed.
 * @throws {DrainError} `sqlite_missing`: better-sqlite3 is not installed, or not for this Node.
 */
export function sqliteStore(path: string, options: sqliteStore.Options = {}): ClientStore {
  const { busyTimeoutMs = 10_000, maxPages } = options
  const database = openSqliteFile(path, { busyTimeoutMs })
  if (maxPages !== undefined) database.pragma(`max_page_count = ${maxPages}`)
  const queue = createStepQueue({
    commit: committer(database),
    soon: setImmediate,
    release: () => void database.close(),
  })
  return { ...queue, ...plainSeal }
}

export declare namespace sqliteStore {
  type Options = {
    /** How long to wait for another process's step; this process does nothing else meanwhile. Default: 10,000. */
    busyTimeoutMs?: number | undefined
    /** Largest size of the file in pages of 4 KiB; what needs more is refused as unavailable. Default: the disk's. */
    maxPages?: number | undefined
  }
}

function committer(database: Database): (steps: readonly Step[]) => readonly Outcome[] {
  const latest = database.prepare<[], number>('SELECT coalesce(max(revision), 0) FROM entries').pluck()
  const changes = database.prepare<[number], Row>(
    'SELECT key, text, revision FROM entries WHERE revision > ? ORDER BY revision',
  )
  const put = database.prepare<Row>(
    `INSERT INTO entries (key, text, revision) VALUES (@key, @text, @revision)
     ON CONFLICT (key) DO UPDATE SET text = excluded.text, revision = excluded.revision`,
  )
  const commit = database.transaction((steps: readonly Step[]) => {
    const changed = changes.all(Math.min(...steps.map(({ since }) => since)))
    const table = transactionTable(latest.get() ?? 0, changed, (row) => put.run(row))
    return steps.map((step) => takeStep(table, step))
  })
  return commit.immediate
}
