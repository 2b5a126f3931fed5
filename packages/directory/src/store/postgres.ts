/** PostgreSQL, for several instances. */
import pg from 'pg'
import type { Database, Sql, Value } from './Database.ts'
import { migrate } from './tables.ts'

const int8 = 20
const numeric = 1700
/** Another transaction came in the way, or a deadlock was ended: nothing happened, and it may be tried again. */
const again = new Set(['40001', '40P01'])
const mostAttempts = 30
const longestRestMs = 200

export type PostgresOptions = pg.PoolConfig & {
  /** Where the tables are; `drain_directory` by default. */
  schema?: string
}

/** @throws Error when the server can't be reached. */
export async function openPostgres({
  schema = 'drain_directory',
  ...connection
}: PostgresOptions): Promise<Database> {
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) throw new Error(`${schema} is no name for a schema.`)
  const settings: pg.PoolConfig = {
    max: 10,
    connectionTimeoutMillis: 10_000,
    ...connection,
    options: `-c search_path=${schema}`,
    types: {
      getTypeParser: (type: number, format?: 'text' | 'binary') =>
        type === int8 || type === numeric ? Number : pg.types.getTypeParser(type, format as 'text'),
    } as pg.CustomTypesConfig,
  }
  const pool = new pg.Pool(settings)
  // A connection that breaks while nobody uses it: the next query gets another one.
  pool.on('error', () => undefined)

  const database: Database = {
    kind: 'postgres',
    ...over(pool),
    // What may write is serialized with transactions, and repeated as they are; `all` only reads.
    run: (text, ...values) => transaction((sql) => sql.run(text, ...values)),
    one: (text, ...values) => transaction((sql) => sql.one(text, ...values)),
    transaction,
    close: () => pool.end(),
  }

  async function transaction<result>(work: (sql: Sql) => Promise<result>): Promise<result> {
    for (let attempt = 1; ; attempt++) {
      const client = await pool.connect()
      let broken: Error | undefined
      try {
        await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE')
        const result = await work(over(client))
        await client.query('COMMIT')
        return result
      } catch (error) {
        await client.query('ROLLBACK').catch((failure) => {
          broken = failure
        })
        if (!again.has((error as { code?: string }).code ?? '') || attempt === mostAttempts) throw error
      } finally {
        client.release(broken)
      }
      // Those that got in each other's way come back at different times.
      await new Promise((resolve) =>
        setTimeout(resolve, Math.random() * Math.min(2 ** attempt, longestRestMs)),
      )
    }
  }

  // Several may start at once, and "if not exists" does not hold between them: one makes the tables, the others find them.
  const opener = new pg.Client(settings)
  opener.on('error', () => undefined)
  try {
    await opener.connect()
    await opener.query('SELECT pg_advisory_lock(hashtextextended($1, 0))', [`drain directory ${schema}`])
    await opener.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`)
    await migrate(database)
    return database
  } catch (error) {
    await pool.end()
    throw error
  } finally {
    await opener.end()
  }
}

function over(client: pg.Pool | pg.PoolClient): Sql {
  const query = (text: string, values: Value[]) =>
    client.query(
      text,
      values.map((value) => (typeof value === 'bigint' ? value.toString() : value)),
    )
  return {
    all: async (text, ...values) => (await query(text, values)).rows,
    one: async (text, ...values) => (await query(text, values)).rows[0],
    run: async (text, ...values) => (await query(text, values)).rowCount ?? 0,
  }
}
