import { createLedger } from './createLedger.ts'
import { groupCommit, toLedgerError } from './groupCommit.ts'
import type { LedgerOpener } from './Ledger.ts'
import type { LedgerStore } from './LedgerStore.ts'
import { openSqliteFile } from './sqliteFile.ts'
import { sqliteRows } from './sqliteRows.ts'

/**
 * A ledger in one SQLite file, for one machine and any number of processes on it.
 *
 * What it acknowledged survives power loss (WAL, `synchronous=FULL`); concurrent requests share the fsync. Keep the file
 * on a local disk, and copy it only with its `-wal` file or by SQLite's own backup. A new file knows no voucher: whoever
 * loses it serves old vouchers again.
 *
 * @example
 * ```ts
 * const paywall = createPaywall({ account, chainId: 137, ledger: sqliteLedger('drain.db') })
 * ```
 * @throws LedgerFileError when opened: damaged, another program's, another provider's or contract's. Nothing is changed.
 */
export function sqliteLedger(path: string, options: sqliteLedger.Options = {}): LedgerOpener {
  const { now = Date.now, log = console.warn, busyTimeoutMs = 5000, maxPages } = options
  return (identity) => {
    const database = openSqliteFile(path, identity, busyTimeoutMs)
    if (maxPages !== undefined) database.pragma(`max_page_count = ${maxPages}`)
    const { rows, pages } = sqliteRows(database, now)
    const store: LedgerStore = {
      ...groupCommit(database, rows),
      async read(look) {
        try {
          return look(rows)
        } catch (error) {
          throw toLedgerError(error, 'it cannot be read')
        }
      },
      *pages(filter) {
        try {
          yield* pages(filter)
        } catch (error) {
          throw toLedgerError(error, 'it cannot be read')
        }
      },
    }
    return createLedger(store, { identity, log })
  }
}

export declare namespace sqliteLedger {
  type Options = {
    /** How long to wait for another process's transaction; the process does nothing else meanwhile. Default: 5,000. */
    busyTimeoutMs?: number | undefined
    /** Largest size of the file in pages of 4 KiB; what needs more is refused as unavailable. Default: the disk's. */
    maxPages?: number | undefined
    /** The clock of the leases, in milliseconds; all processes must share it. Default: `Date.now`. */
    now?: (() => number) | undefined
    /** Takes alarms. Default: `console.warn`. */
    log?: ((message: string) => void) | undefined
  }
}
