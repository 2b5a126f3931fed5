import type { Address, Hex } from 'viem'
import { checkpoints } from './checkpoints.ts'
import { flushLog } from './flushLog.ts'
import { groupCommit, toLedgerError } from './groupCommit.ts'
import type { LedgerIdentity } from './Ledger.ts'
import type { LedgerStore } from './LedgerStore.ts'
import { RecentMap } from './RecentMap.ts'
import type { sqliteLedger } from './sqlite.ts'
import { openSqliteFile } from './sqliteFile.ts'
import { sqliteNotes } from './sqliteNotes.ts'
import { addTotals, noTotals, type Row, sqliteRows } from './sqliteRows.ts'

type Options = sqliteLedger.Options & { now: () => number; log: (message: string) => void }

const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

/** How much a copy may miss without being found out when it is put back in place. */
const markEveryMs = 60_000

/** The store in the file at `path`. @throws LedgerFileError */
export function sqliteStore(path: string, identity: LedgerIdentity, options: Options): LedgerStore {
  const { now, cachedChannels = 10_000, maxPages, synchronous = 'full' } = options
  const { database, mark } = openSqliteFile(path, identity, options)
  if (maxPages !== undefined) database.pragma(`max_page_count = ${maxPages}`)
  const rows = sqliteRows(database, { provider: identity.provider.toLowerCase() as Address })
  const notes = sqliteNotes(database)
  const known = new RecentMap<Hex, Row>(cachedChannels)
  const dataVersion = database.prepare<[], bigint>('PRAGMA data_version').pluck()
  let version = dataVersion.get()

  /** Forgets what it knows if another connection has written since. */
  function refresh(): void {
    const latest = dataVersion.get()
    if (latest === version) return
    version = latest
    known.clear()
  }

  let markedAt = now()

  function begun(): void {
    refresh()
    if (now() - markedAt < markEveryMs) return
    markedAt = now()
    mark()
  }

  const copies = checkpoints(database)
  const log = flushLog(database)
  const flush = synchronous === 'full' ? log.flush : undefined
  const commits = groupCommit(database, { begun, undone: () => known.clear(), done: copies.wrote, flush })
  let closing: Promise<void> | undefined

  async function close(): Promise<void> {
    await commits.close()
    await copies.close()
    log.close()
    database.close()
  }

  /** The row as it is now: to be called after `refresh`, within a transaction or a turn. */
  function rowOf(channelId: Hex): Row | undefined {
    const remembered = known.get(channelId)
    if (remembered) return remembered
    const row = rows.row(channelId)
    if (row) known.set(channelId, row)
    return row
  }

  function reading<result>(read: () => result): result {
    try {
      return read()
    } catch (error) {
      throw toLedgerError(error, 'it cannot be read')
    }
  }

  /** What is told was flushed before. */
  async function readingFlushed<result>(read: () => result): Promise<result> {
    const result = reading(read)
    await commits.flushed()
    return result
  }

  /** Lets requests have their turn between the portions of a long read. */
  async function* inTurns<portion>(portions: Iterable<portion>): AsyncGenerator<portion> {
    const iterator = portions[Symbol.iterator]()
    for (;;) {
      const { done, value } = reading(() => iterator.next())
      if (done) return
      yield value
      await nextTurn()
    }
  }

  return {
    update: (channelId, decide) =>
      commits.run(() => {
        const before = known.get(channelId) ?? rows.row(channelId)
        const { result, write } = decide(before?.record, now())
        if (write) return { result, write: () => known.set(channelId, rows.write(before, write)) }
        if (before) known.set(channelId, before)
        return { result }
      }),

    async read(channelId) {
      return readingFlushed(() => {
        refresh()
        return { record: rowOf(channelId)?.record, now: now() }
      })
    },

    async glance(channelId) {
      return reading(() => ({ record: rowOf(channelId)?.record, now: now() }))
    },

    pages: (filter) => inTurns(rows.pages(filter, options.log)),

    async totals() {
      const totals = noTotals()
      for await (const portion of inTurns(rows.totals())) addTotals(totals, portion)
      return totals
    },

    async outcome(channelId, keyId) {
      return readingFlushed(() => rows.outcome(channelId, keyId, now()))
    },

    days: (range) => inTurns(rows.days(range)),

    claims: (range) => inTurns(rows.claims(range)),

    writeNote: (key, decide) =>
      commits.run(() => {
        const { result, write } = decide(notes.text(key), now())
        // Flushed also when there is nothing to write: what it has read may be another process's that is not flushed yet.
        return { result, write: () => write !== undefined && notes.put(key, write) }
      }),

    async notes(from, until) {
      const portion = await readingFlushed(() => notes.portion(from, until))
      await nextTurn()
      return portion
    },

    async prune(isOver) {
      const pruned = { channels: 0, outcomes: 0 }
      for (;;) {
        const before = pruned.outcomes
        await commits.run(() => ({
          result: undefined,
          write: () => {
            pruned.outcomes += rows.dropOldOutcomes(now())
          },
        }))
        if (pruned.outcomes === before) break
      }
      for (let next: readonly [bigint, bigint] | undefined = [-1n, 0n]; next; ) {
        const from: readonly [bigint, bigint] = next
        next = await commits.run(() => {
          const { over, next } = rows.ended(isOver, now(), from)
          const write = () => {
            for (const row of over) {
              pruned.outcomes += rows.drop(row)
              known.delete(row.record.account.channelId)
            }
            pruned.channels += over.length
          }
          return { result: next, write }
        })
      }
      return pruned
    },

    async ready() {
      reading(() => dataVersion.get())
    },

    close() {
      closing ??= close()
      return closing
    },
  }
}
