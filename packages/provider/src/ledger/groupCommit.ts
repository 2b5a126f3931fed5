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
  /** Resolves once the disk has what it wrote, and what it has read. @throws LedgerUnavailableError */
  run<result>(work: Work<result>): Promise<result>
  /** Resolves once the disk has all that was committed. @throws LedgerUnavailableError */
  flushed(): Promise<void>
  /** Commits and flushes what was asked for before; what comes later is refused. The database stays open. */
  close(): Promise<void>
}

/** Makes what was committed before it was called survive power loss: at once, or when its promise resolves. */
export type Flush = () => Promise<void> | undefined

/**
 * Runs operations in order of arrival, those of one turn of the event loop in one transaction, so that they share its
 * commit and its flush to the disk. An operation that throws by itself has written nothing and rejects alone; a failure of
 * the store rolls back and rejects the whole batch.
 *
 * One batch is flushed while the requests of the other are at work; what arrives meanwhile is the next batch. A flush that
 * fails may have lost what was committed and can't be repeated (the kernel forgets what it could not write), so nothing is
 * accepted after it.
 *
 * `begun` is called at the start of each transaction, `undone` when one was rolled back, `done` with the number of writing
 * operations after its COMMIT.
 */
export function groupCommit(
  database: Database,
  {
    begun,
    undone,
    done,
    flush,
  }: {
    begun: () => void
    undone: () => void
    done: (writes: number) => void
    /** None: what is committed is told at once. */
    flush?: Flush | undefined
  },
): GroupCommit {
  const begin = database.prepare('BEGIN IMMEDIATE')
  const commit = database.prepare('COMMIT')
  const rollback = database.prepare('ROLLBACK')
  const queue: Operation[] = []
  let isScheduled = false
  let isClosed = false
  let failure: LedgerUnavailableError | undefined
  let flushing: Promise<void> | undefined
  let writes = 0

  function schedule(): void {
    if (isScheduled || flushing || queue.length === 0) return
    isScheduled = true
    setImmediate(() => {
      isScheduled = false
      if (!flushing) runBatch()
      schedule()
    })
  }

  function runBatch(): void {
    const batch = queue.splice(0, batchSize)
    let settled: (() => void)[]
    try {
      if (failure) throw failure
      begin.run()
      begun()
      writes = 0
      settled = batch.map(runOne)
      commit.run()
    } catch (cause) {
      undo()
      const error = cause === failure ? failure : new LedgerUnavailableError('it cannot be written', cause)
      for (const { reject } of batch) reject(error)
      return
    }
    const settle = () => {
      for (const end of settled) end()
    }
    const lose = (cause: unknown) => {
      failure = new LedgerUnavailableError('the disk failed, and may have lost what was written last', cause)
      for (const { reject } of batch) reject(failure)
    }
    done(writes)
    try {
      const isFlushing = writes === 0 ? undefined : flush?.()
      if (!isFlushing) settle()
      else {
        flushing = isFlushing.then(
          () => flushed(settle),
          (cause) => {
            lose(cause)
            flushed(() => {})
          },
        )
      }
    } catch (cause) {
      lose(cause)
    }
  }

  /** The next batch goes on its way first: the disk works while the requests of this one do. */
  function flushed(settle: () => void): void {
    flushing = undefined
    if (queue.length > 0) runBatch()
    settle()
    schedule()
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
    async flushed() {
      await flushing
      if (failure) throw failure
    },
    async close() {
      isClosed = true
      while (flushing || queue.length > 0) {
        if (flushing) await flushing
        else runBatch()
      }
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
