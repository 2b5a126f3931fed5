import type { Address, Hex } from 'viem'
import { LedgerUnavailableError } from './Errors.ts'
import { inBatches } from './inBatches.ts'
import type { Outcome } from './Ledger.ts'
import type { LedgerStore } from './LedgerStore.ts'
import { nowColumn } from './nowColumn.ts'
import { type DatabaseOptions, postgresDatabase } from './postgresDatabase.ts'
import { postgresLists } from './postgresLists.ts'
import { postgresNotes } from './postgresNotes.ts'
import { postgresPages } from './postgresPages.ts'
import { type PostgresConnection, type PostgresPool, postgresPool } from './postgresPool.ts'
import { postgresPrune } from './postgresPrune.ts'
import { toBytes, toHex } from './postgresRows.ts'
import type { Tables } from './postgresSchema.ts'
import { postgresSteps } from './postgresSteps.ts'
import { postgresTable } from './postgresTable.ts'
import { serverClock } from './serverClock.ts'

/** A store in the tables of one schema. Nothing is connected before it is needed. */
export function postgresStore(
  connection: PostgresConnection,
  options: DatabaseOptions & { timeoutMs: number; cacheSize: number; clockOffset: () => number },
): LedgerStore {
  const { tables, log } = options
  const identity = { ...options.identity, provider: options.identity.provider.toLowerCase() as Address }
  const clock = serverClock()
  const now = () => clock.now() + options.clockOffset()
  const database = postgresDatabase(options)
  const pool = postgresPool(connection, { timeoutMs: options.timeoutMs, prepare: database.examine })
  const table = postgresTable(pool, { tables, identity, mark: database.mark, observe: clock.observe })
  const steps = postgresSteps(table, { now, cacheSize: options.cacheSize })
  const pages = postgresPages(pool, { tables, identity, log })
  const notes = postgresNotes(pool, { tables, mark: database.mark, now, observe: clock.observe })
  const lists = postgresLists(pool, tables, log)
  const prune = postgresPrune(pool, { tables, identity, now, observe: clock.observe, forget: steps.forget })
  const outcome = outcomeReader(pool, { tables, now, observe: clock.observe })
  const underWay = new Set<Promise<unknown>>()
  let closing: Promise<void> | undefined

  /** Lets `close` wait for what was asked before it. */
  function track<result>(work: () => Promise<result>): Promise<result> {
    if (closing) return Promise.reject(new LedgerUnavailableError('it was closed'))
    const promise = work()
    underWay.add(promise)
    const done = () => underWay.delete(promise)
    promise.then(done, done)
    return promise
  }

  async function* trackEach<item>(items: AsyncGenerator<item>): AsyncGenerator<item> {
    while (true) {
      const next = await track(() => items.next())
      if (next.done) return
      yield next.value
    }
  }

  return {
    update: (channelId, decide) => track(() => steps.update(channelId, decide)),
    read: (channelId) => track(() => steps.read(channelId)),
    glance: (channelId) => track(() => steps.glance(channelId)),
    pages: (filter) => trackEach(pages(filter)),
    totals: () => track(lists.totals),
    outcome: (channelId, keyId) => track(() => outcome(channelId, keyId)),
    days: (range) => trackEach(lists.days(range)),
    claims: (range) => trackEach(lists.claims(range)),
    writeNote: (key, decide) => track(() => notes.write(key, decide)),
    notes: (from, until) => track(() => notes.portion(from, until)),
    prune: (isOver) => track(() => prune(isOver)),
    ready: () => track(() => pool.run((session) => database.examine(session, pool.name))),
    close() {
      closing ??= Promise.allSettled(underWay).then(() => pool.close())
      return closing
    },
  }
}

/** Answers to some requests in one query: few, since each may be a quarter of a megabyte. */
function outcomeReader(
  pool: PostgresPool,
  {
    tables,
    now,
    observe,
  }: { tables: Tables; now: () => number; observe: (serverMs: number, askedAt: number) => void },
) {
  type Search = {
    channelId: Hex
    keyId: Hex
    resolve: (outcome: Outcome | undefined) => void
    reject: (error: unknown) => void
  }
  type OutcomeRow = { now: string; index: number; fingerprint: Buffer; response: Buffer; ends_at: string }

  const search = inBatches<Search>(16, async (searches) => {
    try {
      const rows = await pool.run(async (session) => {
        const askedAt = performance.now()
        const { rows } = await session.query<OutcomeRow>({
          name: 'outcomes',
          text: `
            SELECT ${nowColumn}, s.index::integer, o.fingerprint, o.response, o.ends_at
            FROM unnest($1::bytea[], $2::bytea[]) WITH ORDINALITY AS s (channel, key, index)
            JOIN ${tables.outcomes} AS o ON o.channel = s.channel AND o.key = s.key`,
          values: [
            searches.map(({ channelId }) => toBytes(channelId)),
            searches.map(({ keyId }) => toBytes(keyId)),
          ],
        })
        if (rows[0]) observe(Number(rows[0].now), askedAt)
        return rows
      })
      const found = new Map(rows.map((row) => [row.index, row]))
      for (const [index, { resolve }] of searches.entries()) {
        const row = found.get(index + 1)
        const isKept = row !== undefined && Number(row.ends_at) > now()
        resolve(
          isKept
            ? { fingerprint: toHex(row.fingerprint), response: new Uint8Array(row.response) }
            : undefined,
        )
      }
    } catch (error) {
      for (const { reject } of searches) reject(error)
    }
  })

  return (channelId: Hex, keyId: Hex) =>
    new Promise<Outcome | undefined>((resolve, reject) => search({ channelId, keyId, resolve, reject }))
}
