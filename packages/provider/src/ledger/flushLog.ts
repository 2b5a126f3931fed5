import { close, fdatasync, openSync } from 'node:fs'
import type { Database } from 'better-sqlite3'
import type { Flush } from './groupCommit.ts'

/**
 * Flushes the write-ahead log to the disk in another thread. With `synchronous=FULL`, SQLite does the same at the end of each
 * COMMIT, while nobody is served.
 *
 * The log is the same file for as long as a connection is open, and carries no locks that closing a descriptor would drop.
 */
export function flushLog(database: Database): { flush: Flush; close: () => void } {
  let descriptor: number | undefined
  return {
    flush: () =>
      new Promise((resolve, reject) => {
        // SQLite makes it no later than the first transaction. Windows flushes only what was opened for writing.
        descriptor ??= openSync(`${database.name}-wal`, 'r+')
        fdatasync(descriptor, (error) => (error ? reject(error) : resolve()))
      }),
    close() {
      if (descriptor !== undefined) close(descriptor)
      descriptor = undefined
    },
  }
}
