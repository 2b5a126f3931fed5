/** The embedded database: one file, one machine. */
import SqliteDatabase from 'better-sqlite3'
import type { Database, Sql, Value } from './Database.ts'
import { migrate } from './tables.ts'

/**
 * Opens or makes the file; `:memory:` for none.
 *
 * @throws Error that names the file, when it is damaged or can't be written.
 */
export async function openSqlite(path: string): Promise<Database> {
  const file = open(path)
  const sql: Sql = {
    async all<row>(text: string, ...values: Value[]) {
      return file.prepare(text).all(named(values)) as row[]
    },
    async one<row>(text: string, ...values: Value[]) {
      return file.prepare(text).get(named(values)) as row | undefined
    },
    async run(text, ...values) {
      return file.prepare(text).run(named(values)).changes
    },
  }

  /** Everything waits for the transaction before it: there is one connection. */
  let last: Promise<unknown> = Promise.resolve()
  function inTurn<result>(work: () => Promise<result>): Promise<result> {
    const turn = last.then(work, work)
    last = turn.catch(() => undefined)
    return turn
  }

  async function transaction<result>(work: (sql: Sql) => Promise<result>): Promise<result> {
    return inTurn(async () => {
      file.exec('BEGIN IMMEDIATE')
      try {
        const result = await work(sql)
        file.exec('COMMIT')
        return result
      } catch (error) {
        if (file.inTransaction) file.exec('ROLLBACK')
        throw error
      }
    })
  }

  const database: Database = {
    kind: 'sqlite',
    all: (text, ...values) => inTurn(() => sql.all(text, ...values)),
    one: (text, ...values) => inTurn(() => sql.one(text, ...values)),
    run: (text, ...values) => inTurn(() => sql.run(text, ...values)),
    transaction,
    close: () =>
      inTurn(async () => {
        file.close()
      }),
  }
  await migrate(database).catch((error) => {
    file.close()
    throw error
  })
  return database
}

function open(path: string): SqliteDatabase.Database {
  try {
    const file = new SqliteDatabase(path)
    file.pragma('busy_timeout = 10000')
    file.pragma('journal_mode = WAL')
    file.pragma('synchronous = FULL')
    file.pragma('foreign_keys = ON')
    return file
  } catch (error) {
    throw new Error(`The directory's database ${path} can't be opened: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

/** SQLite's `$1` is a parameter named `1`. */
function named(values: readonly Value[]): Record<string, Value> {
  return Object.fromEntries(values.map((value, index) => [String(index + 1), value]))
}
