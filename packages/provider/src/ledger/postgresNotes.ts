import pg from 'pg'
import { LedgerUnavailableError } from './Errors.ts'
import type { DecideNote, Note } from './Notebook.ts'
import { nowColumn } from './nowColumn.ts'
import type { PostgresPool, Session } from './postgresPool.ts'
import type { Tables } from './postgresSchema.ts'

/** How many connections notes may take at a time: requests need the others. */
const mostConnections = 2

/** How much is read in one go. */
const [mostNotes, mostBytes] = [1000, 1024 * 1024]

type Step = {
  decide: DecideNote<unknown>
  resolve: (result: never) => void
  reject: (error: unknown) => void
}

/**
 * Steps on notes. A transaction takes a lock that stands for the key, be there a note or not, reads the note, and lets all
 * steps decide that this process wants of it by then, each on what the one before has left. They end when it has committed.
 *
 * If it fails, its steps reject and nothing is tried again: when that was while it committed, it is open what was written.
 */
export function postgresNotes(
  pool: PostgresPool,
  options: {
    tables: Tables
    mark: () => string | undefined
    now: () => number
    /** Is told the server's clock, in milliseconds, and when it was asked. */
    observe: (serverMs: number, askedAt: number) => void
  },
) {
  const { tables, mark, now, observe } = options
  /** The steps that wait, by key: those first whose turn it is. */
  const lines = new Map<string, Step[]>()
  const keysAtWork = new Set<string>()

  function next(): void {
    for (const key of lines.keys()) {
      if (keysAtWork.size >= mostConnections) return
      if (keysAtWork.has(key)) continue
      keysAtWork.add(key)
      void work(key)
    }
  }

  async function work(key: string): Promise<void> {
    const steps: Step[] = []
    /** Those that come later are another transaction's. */
    function take(): void {
      steps.push(...(lines.get(key) ?? []))
      lines.delete(key)
    }
    try {
      const endings = await pool.run(async (session) => {
        const before = await lock(session, key)
        take()
        const { endings, after } = decide(steps, before)
        if (after !== before) await put(session, key, after)
        const { command } = await session.query({ text: 'COMMIT' })
        if (command !== 'COMMIT') throw new LedgerUnavailableError(`${pool.name} has undone a step`)
        return endings
      })
      for (const end of endings) end()
    } catch (error) {
      if (steps.length === 0) take()
      for (const { reject } of steps) reject(error)
    }
    keysAtWork.delete(key)
    next()
  }

  /**
   * Begins the transaction. It has looked into `meta` and the notes, so until its end nobody can put other tables in their
   * place: that they are still those that were examined is asked here once.
   */
  async function lock(session: Session, key: string): Promise<string | undefined> {
    const lockName = pg.escapeLiteral(`drain note ${tables.schema} ${key}`)
    const askedAt = performance.now()
    const { rows } = await session.query<{ now: string; mark: string | null; text: string | null }>({
      // Each statement sees what was committed before it began, so the last one what came before the lock.
      text: `
        BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL synchronous_commit = on;
        SELECT pg_advisory_xact_lock(hashtextextended(${lockName}, 0::bigint));
        SELECT ${nowColumn}, (SELECT xmin::text FROM ${tables.meta} WHERE name = 'origin') AS mark,
          (SELECT text FROM ${tables.notes} WHERE key = ${pg.escapeLiteral(key)}) AS text`,
    })
    const [row] = rows
    if (!row || row.mark !== mark())
      throw new LedgerUnavailableError(
        `${pool.name} has another copy of the ledger than before; it is examined first`,
      )
    observe(Number(row.now), askedAt)
    return row.text ?? undefined
  }

  function decide(steps: readonly Step[], before: string | undefined) {
    const time = now()
    let after = before
    const endings = steps.map(({ decide, resolve, reject }) => {
      try {
        const { result, write } = decide(after, time)
        if (write !== undefined) after = write ?? undefined
        return () => resolve(result as never)
      } catch (error) {
        return () => reject(error)
      }
    })
    return { endings, after }
  }

  async function put(session: Session, key: string, text: string | undefined): Promise<void> {
    if (text === undefined)
      await session.query({ text: `DELETE FROM ${tables.notes} WHERE key = $1`, values: [key] })
    else
      await session.query({
        text: `
          INSERT INTO ${tables.notes} (key, text) VALUES ($1, $2)
          ON CONFLICT (key) DO UPDATE SET text = excluded.text`,
        values: [key, text],
      })
  }

  return {
    write: <result>(key: string, decide: DecideNote<result>) =>
      new Promise<result>((resolve, reject) => {
        const step: Step = { decide, resolve, reject }
        const line = lines.get(key)
        if (line) line.push(step)
        else lines.set(key, [step])
        next()
      }),

    /** The first notes of a range: those that begin within `mostBytes`. */
    portion: (from: string, until: string): Promise<Note[]> =>
      pool.run(async (session) => {
        const { rows } = await session.query<Note>({
          name: 'notes',
          text: `
            SELECT key, text FROM (
              SELECT key, text, sum(octet_length(text)) OVER (ORDER BY key) - octet_length(text) AS before
              FROM ${tables.notes} WHERE key >= $1 AND key < $2 ORDER BY key LIMIT ${mostNotes}
            ) AS portion WHERE before < ${mostBytes} ORDER BY key`,
          values: [from, until],
        })
        return rows
      }),
  }
}
