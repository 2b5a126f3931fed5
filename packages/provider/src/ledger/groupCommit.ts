import { DrainError } from '@drain/core'
import type { Database } from 'better-sqlite3'
import { LedgerUnavailableError } from './Errors.ts'

/** How many operations may share a commit. It bounds how long other processes wait for the lock. */
const batchSize = 512

/** Reads and decides, and returns what is left to do: writing, after which nothing may fail but the store. */
export type Work<result> = () => { result: result; write?: (() => void) | undefined }

type Operation = {
  work: Work<unknown>
  resolve: (result: never) => void
  reject: (error: unknown) => void
}

export type GroupCommit = {
  /** Resolves after the COMMIT of what it wrote. @throws LedgerUnavailableError */
  run<result>(work: Work<result>): Promise<result>
  /** Commits what was asked for before; what comes later is refused. The database stays open. */
  close(): void
}

/**
 * Runs operations in order of arrival, those of one turn of the event loop in one transaction, so that they share its
 * fsync. A promise resolves only after COMMIT. An operation that throws by itself has written nothing and rejects
 * alone; a failure of the store rolls back and rejects the whole batch.
 *
 * `begun` is called at the start of each transaction, `undone` when one was rolled back, `done` with the number of writing
 * operations after its COMMIT.
 */
export function groupCommit(
  database: Database,
  { begun, undone, done }: { begun: () => void; undone: () => void; done: (writes: number) => void },
): GroupCommit {
  const begin = database.prepare('BEGIN IMMEDIATE')
  const commit = database.prepare('COMMIT')
  const rollback = database.prepare('ROLLBACK')
  const queue: Operation[] = []
  let isScheduled = false
  let isClosed = false
  let writes = 0

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
      begun()
      writes = 0
      const settled = batch.map(runOne)
      commit.run()
      for (const settle of settled) settle()
    } catch (cause) {
      undo()
      for (const { reject } of batch) reject(new LedgerUnavailableError('it cannot be written', cause))
      return
    }
    done(writes)
  }

  function undo(): void {
    try {
      if (database.inTransaction) rollback.run()
    } catch {
      // Then the next BEGIN fails, and everything is refused until somebody looks.
    }
    undone()
  }

  /** Runs one operation and returns how its promise ends once the batch is committed. */
  function runOne({ work, resolve, reject }: Operation): () => void {
    const step = attempt(work)
    if ('error' in step) {
      // If SQLite has rolled back already, there is nothing left to commit for the others either.
      if (!database.inTransaction) throw step.error
      return () => reject(toLedgerError(step.error, 'it cannot be read'))
    }
    if (step.write) {
      step.write()
      writes += 1
    }
    return () => resolve(step.result as never)
  }

  return {
    run: (work) =>
      new Promise((resolve, reject) => {
        if (isClosed) throw new LedgerUnavailableError('it was closed')
        queue.push({ work, resolve, reject })
        schedule()
      }),
    close() {
      isClosed = true
      while (queue.length > 0) runBatch()
    },
  }
}

function attempt(work: Work<unknown>): ReturnType<Work<unknown>> | { error: unknown } {
  try {
    return work()
  } catch (error) {
    return { error }
  }
}

/** What a store threw, as the ledger's callers see it. */
export function toLedgerError(error: unknown, problem: string): DrainError {
  return error instanceof DrainError ? error : new LedgerUnavailableError(problem, error)
}
