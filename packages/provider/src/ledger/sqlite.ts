import { createLedger } from './createLedger.ts'
import type { LedgerOpener } from './Ledger.ts'
import { sqliteStore } from './sqliteStore.ts'

export { backupSqliteLedger } from './backupSqliteLedger.ts'

/**
 * A ledger in one SQLite file, for one machine and any number of processes on it.
 *
 * What it acknowledged survives power loss (as with WAL and `synchronous=FULL`); concurrent requests share the flush. Keep the file
 * on a local disk, and back it up with `backupSqliteLedger`. A new file knows no voucher: whoever loses it serves old
 * vouchers again. One that was copied back starts with its open channels frozen, for the same reason.
 *
 * @example
 * ```ts
 * const paywall = createPaywall({ account, chainId: 137, ledger: sqliteLedger('drain.db') })
 * ```
 * @throws LedgerFileError when opened: damaged, another program's, another provider's or contract's. Nothing is changed.
 */
export function sqliteLedger(path: string, options: sqliteLedger.Options = {}): LedgerOpener {
  const { now = Date.now, log = console.warn, keepOutcomesMs } = options
  return (identity) =>
    createLedger(sqliteStore(path, identity, { ...options, now, log }), { identity, log, keepOutcomesMs })
}

export declare namespace sqliteLedger {
  type Options = {
    /** How long to wait for another process's transaction; the process does nothing else meanwhile. Default: 5,000. */
    busyTimeoutMs?: number | undefined
    /**
     * `full`: what was acknowledged survives power loss. `normal`: it survives the end of the process, but the last
     * moments before power loss may be gone, and with them nonces that were burned. Default: `full`.
     */
    synchronous?: 'full' | 'normal' | undefined
    /**
     * What to do when the file was copied to where it is, be it as a backup or by a move: `freeze` its open channels, once,
     * since what was spent after the copy was made would be served again; or `trust` the operator that the provider was
     * stopped before it was copied and has not run on another copy since. Default: `freeze`.
     */
    restored?: 'freeze' | 'trust' | undefined
    /**
     * How the file is examined when it is opened. `quick` doesn't compare the indexes with the tables, and takes a third of the
     * time: for processes that serve nobody, since with a damaged index known channels look new. Default: `full`.
     */
    check?: 'full' | 'quick' | undefined
    /** How many channels are kept in memory. Default: 10,000, some 30 MB. */
    cachedChannels?: number | undefined
    /** Largest size of the file in pages of 1 KiB; what needs more is refused as unavailable. Default: the disk's. */
    maxPages?: number | undefined
    /** How long the outcome of a request with an idempotency key is kept. Default: 86,400,000, a day. */
    keepOutcomesMs?: number | undefined
    /** The clock of the leases, in milliseconds; all processes must share it. Default: `Date.now`. */
    now?: (() => number) | undefined
    /** Takes what the operator should know: alarms, and that a file was copied back. Default: `console.warn`. */
    log?: ((message: string) => void) | undefined
  }
}
