import { type Row, transactionTable } from './entries.ts'
import { type Outcome, type Step, takeStep } from './stepQueue.ts'

/** Takes the steps in one transaction, which no other tab's is at the same time. */
export function commitSteps(database: IDBDatabase, steps: readonly Step[]): Promise<readonly Outcome[]> {
  return new Promise((resolve, reject) => {
    // Complete when the disk has it, not when the operating system does.
    const transaction = database.transaction('entries', 'readwrite', { durability: 'strict' })
    const rows = transaction.objectStore('entries')
    const index = rows.index('revision')
    let outcomes: readonly Outcome[] = []
    let failure: unknown
    transaction.oncomplete = () => resolve(outcomes)
    transaction.onabort = () => reject(failure ?? transaction.error)

    function take(revision: number, changed: readonly Row[]): void {
      const table = transactionTable(revision, changed, (row) => rows.put(row))
      try {
        outcomes = steps.map((step) => takeStep(table, step))
      } catch (error) {
        failure = error
        transaction.abort()
      }
    }

    const newest = index.openKeyCursor(null, 'prev')
    newest.onsuccess = () => {
      const revision = Number(newest.result?.key ?? 0)
      const since = Math.min(...steps.map((step) => step.since))
      if (since >= revision) take(revision, [])
      else {
        const changed: IDBRequest<Row[]> = index.getAll(IDBKeyRange.lowerBound(since, true))
        changed.onsuccess = () => take(revision, changed.result)
      }
    }
  })
}
