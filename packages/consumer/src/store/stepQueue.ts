import { DrainError } from '@drain/core'
import type { Decide, Write } from './ClientStore.ts'
import { StoreUnavailableError } from './Errors.ts'

/** How many steps may share a commit. It bounds how long other processes wait for their turn. */
const batchSize = 512

export type Step = { since: number; decide: Decide }

/** The new revision, or why this step alone did not take place. */
export type Outcome = { revision: number } | { error: unknown }

/** What steps read and write, within a transaction. */
export type Table = {
  revision(): number
  /** What was written after `since`, sorted by key. Who asks from 0 knows of nothing, and isn't told what is gone. */
  changes(since: number): readonly Write[]
  /** The writes of one step. */
  put(revision: number, writes: readonly Write[]): void
}

/** Takes one step. Only what `put` throws is thrown: it concerns the whole transaction. */
export function takeStep(table: Table, { since, decide }: Step): Outcome {
  const revision = table.revision()
  if (since > revision) return { error: replaced(since, revision) }
  const changes = table.changes(since)
  let writes: readonly Write[]
  try {
    // A key that is written twice is written once.
    writes = [...new Map(decide(changes).map((write) => [write.key, write])).values()]
  } catch (error) {
    return { error }
  }
  if (writes.length === 0) return { revision }
  table.put(revision + 1, writes)
  return { revision: revision + 1 }
}

function replaced(since: number, revision: number): StoreUnavailableError {
  const problem = `it is at revision ${revision}, and was at ${since} before: another one was put in its place`
  return new StoreUnavailableError(problem, { action: 'Start the client anew.' })
}

export type StepQueue = {
  step(since: number, decide: Decide): Promise<number>
  /** Commits what was asked for before, refuses what comes later, and then runs `release` once. */
  close(): Promise<void>
}

/**
 * Hands steps to `commit` in order of arrival, those that wait together, so that they share a transaction and its flush to
 * the disk. An error of `commit` rejects all of them.
 *
 * @param soon Calls back when the steps of this turn have been asked for.
 */
export function createStepQueue({
  commit,
  release,
  soon = queueMicrotask,
}: {
  commit: (steps: readonly Step[]) => readonly Outcome[] | Promise<readonly Outcome[]>
  release: () => void | Promise<void>
  soon?: (callback: () => void) => unknown
}): StepQueue {
  type Waiting = Step & { resolve: (revision: number) => void; reject: (error: unknown) => void }
  let waiting: Waiting[] = []
  let working: Promise<void> | undefined
  let closed: Promise<void> | undefined

  async function work(): Promise<void> {
    while (waiting.length > 0) {
      await new Promise<void>((resolve) => void soon(resolve))
      const batch = waiting.slice(0, batchSize)
      waiting = waiting.slice(batchSize)
      try {
        const outcomes = await commit(batch)
        batch.forEach(({ resolve, reject }, index) => {
          const outcome = outcomes[index] ?? { error: new Error('no outcome') }
          if ('error' in outcome) reject(outcome.error)
          else resolve(outcome.revision)
        })
      } catch (error) {
        const failure = toStoreError(error)
        for (const { reject } of batch) reject(failure)
      }
    }
    working = undefined
  }

  return {
    step: (since, decide) =>
      new Promise((resolve, reject) => {
        if (closed) throw new StoreUnavailableError('it was closed', { action: 'Open it again.' })
        waiting.push({ since, decide, resolve, reject })
        working ??= work()
      }),
    close() {
      closed ??= Promise.resolve(working).then(release)
      return closed
    },
  }
}

/** What a store threw, as its users see it. */
export function toStoreError(error: unknown): DrainError {
  if (error instanceof DrainError) return error
  return new StoreUnavailableError('it cannot be written', { cause: error })
}
