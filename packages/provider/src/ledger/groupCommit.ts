import { DrainError } from '@drain/core'
import type { Database } from 'better-sqlite3'
import { LedgerUnavailableError } from './Errors.ts'
import type { LedgerRows, LedgerStore } from './LedgerStore.ts'

/** How many operations may share a commit. It bounds how long other processes wait for the lock. */
const batchSize = 512

type Operation = {
  work: (rows: LedgerRows) => unknown
  resolve: (result: never) => void
  reject: (error: unknown) => void
}

/**
 * Runs operations in order of arrival, those of one turn of the event loop in one transaction, so that they share its
 * fsync. A promise resolves only after COMMIT. An operation that throws by itself has written nothing and rejects
 * alone; a failure of the store rolls back and rejects the whole batch.
 */
export function groupCommit(database: Database, rows: LedgerRows): Pick<LedgerStore, 'transact' | 'close'> {
  const begin = database.prepare('BEGIN IMMEDIATE')
  const commit = database.prepare('COMMIT')
  const rollback = database.prepare('ROLLBACK')
  const queue: Operation[] = []
  let isScheduled = false
  let isClosed = false
  let isWriting = false

  const guarded: LedgerRows = {
    ...rows,
    write(account, leases) {
      isWriting = true
      rows.write(account, leases)
      isWriting = false
    },
  }

  function schedule(): void {
    if (isScheduled || queue.length === 0) return
    isScheduled = true
    setImmediate(() => {
      isScheduled = false
      runBatch()
      schedule()
    })
  }

  function runBatch(): void {
    const batch = queue.splice(0, batchSize)
    try {
      begin.run()
      const settled = batch.map(run)
      commit.run()
      for (const settle of settled) settle()
    } catch (cause) {
      isWriting = false
      undo()
      for (const { reject } of batch) reject(new LedgerUnavailableError('it cannot be written', cause))
    }
  }

  function undo(): void {
    try {
      if (database.inTransaction) rollback.run()
    } catch {
      // Then the next BEGIN fails, and everything is refused until somebody looks.
    }
  }

  /** Runs one operation and returns how its promise ends once the batch is committed. */
  function run({ work, resolve, reject }: Operation): () => void {
    try {
      const result = work(guarded)
      return () => resolve(result as never)
    } catch (error) {
      // Half written, or SQLite has rolled back already: there is nothing left to commit for the others either.
      if (isWriting || !database.inTransaction) throw error
      return () => reject(toLedgerError(error, 'it cannot be read'))
    }
  }

  return {
    transact: (work) =>
      new Promise((resolve, reject) => {
        if (isClosed) throw new LedgerUnavailableError('it was closed')
        queue.push({ work, resolve, reject })
        schedule()
      }),
    async close() {
      if (isClosed) return
      isClosed = true
      while (queue.length > 0) runBatch()
      database.close()
    },
  }
}

/** What a store threw, as the ledger's callers see it. */
export function toLedgerError(error: unknown, problem: string): DrainError {
  return error instanceof DrainError ? error : new LedgerUnavailableError(problem, error)
}
