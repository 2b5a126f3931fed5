import { close, fdatasync, fdatasyncSync, openSync } from 'node:fs'
import type { Database } from 'better-sqlite3'
import type { Flush } from './groupCommit.ts'

/** How long a flush may take before another thread is worth its detour, in milliseconds: with half of one it was not, for who is alone. */
const worthAThreadMs = 2

/**
 * Flushes the write-ahead log to the disk, as SQLite does at the end of each COMMIT with `synchronous=FULL`; but on a disk that
 * takes its time, in another thread, so that requests are served meanwhile.
 *
 * The log is the same file for as long as a connection is open, and carries no locks that closing a descriptor would drop.
 */
export function flushLog(database: Database): { flush: Flush; close: () => void } {
  let descriptor: number | undefined
  /** Milliseconds that a flush takes lately. */
  let usual = 0

  function took(since: number): void {
    usual = 0.9 * usual + 0.1 * (performance.now() - since)
  }

  return {
    flush() {
      // SQLite makes it no later than the first transaction. Windows flushes only what was opened for writing.
      descriptor ??= openSync(`${database.name}-wal`, 'r+')
      const log = descriptor
      const startedAt = performance.now()
      if (usual < worthAThreadMs) {
        fdatasyncSync(log)
        took(startedAt)
        return undefined
      }
      return new Promise((resolve, reject) => {
        fdatasync(log, (error) => {
          took(startedAt)
          if (error) reject(error)
          else resolve()
        })
      })
    },
    close() {
      if (descriptor !== undefined) close(descriptor)
      descriptor = undefined
    },
  }
}
