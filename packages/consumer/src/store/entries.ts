import type { Write } from './ClientStore.ts'
import type { Table } from './stepQueue.ts'

/** The entries of a store in memory, with the revision that each was written at. */
export type Entries = Table & {
  /** What is not removed, in the order in which it was written. */
  present(): { key: string; text: string; revision: number }[]
}

/** @param from Revision to begin with. */
export function createEntries(from = 0): Entries {
  const entries = new Map<string, { text: string | null; revision: number }>()
  /** Each key's last write is in here, after those that were made before it; some that were overtaken are too. */
  let order: { key: string; revision: number }[] = []
  let latest = from

  const isCurrent = ({ key, revision }: { key: string; revision: number }) =>
    entries.get(key)?.revision === revision

  return {
    revision: () => latest,
    changes(since) {
      const changes = new Map<string, Write>()
      for (let index = order.length - 1; index >= 0; index--) {
        const { key, revision } = order[index] ?? { key: '', revision: 0 }
        if (revision <= since) break
        const text = entries.get(key)?.text ?? null
        if (text !== null || since > 0) changes.set(key, { key, text })
      }
      return [...changes.values()].sort(byKey)
    },
    put(revision, writes) {
      for (const { key, text } of writes) {
        entries.set(key, { text, revision })
        order.push({ key, revision })
      }
      latest = Math.max(latest, revision)
      if (order.length > 2 * entries.size + 100) order = order.filter(isCurrent)
    },
    present: () =>
      order.filter(isCurrent).flatMap(({ key, revision }) => {
        const text = entries.get(key)?.text ?? null
        return text === null ? [] : [{ key, text, revision }]
      }),
  }
}

/** A row of a database that entries are kept in. */
export type Row = { key: string; text: string | null; revision: number }

/**
 * What the steps of one transaction read and write, when a database has told what `changed` after the lowest revision that
 * any of them asks from. It is asked once, however many there are.
 *
 * @param changed In the order of their revisions.
 * @param save Takes what is written.
 */
export function transactionTable(revision: number, changed: readonly Row[], save: (row: Row) => void): Table {
  const entries = createEntries(revision)
  for (const row of changed) entries.put(row.revision, [row])
  return {
    ...entries,
    put(revision, writes) {
      for (const { key, text } of writes) save({ key, text, revision })
      entries.put(revision, writes)
    },
  }
}

/** In the order of UTF-16 code units, whatever the store goes by. */
function byKey(a: { key: string }, b: { key: string }): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0
}
