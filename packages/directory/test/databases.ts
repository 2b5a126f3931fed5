/** The databases that a directory's stores must agree on. PostgreSQL's tests are skipped, loudly, where it isn't installed. */
import { afterAll, beforeAll } from 'vitest'
import { type Postgres, postgresBin, startPostgres } from '../../provider/test/startPostgres.ts'
import type { Database } from '../src/store/Database.ts'
import { openPostgres } from '../src/store/postgres.ts'
import { openSqlite } from '../src/store/sqlite.ts'

export type TestDatabase = {
  name: string
  /** Whether it can be tested here. */
  isThere: boolean
  /** Starts what it needs, for all tests of the file: call it within `describe`. Returns how to open an empty database. */
  use(): () => Promise<Database>
}

let server: Postgres | undefined
let count = 0

/**
 * Each kind once: `describe.each(databases)('… on $name', ({ use, isThere }) => { const open = use() … })`, with
 * `describe.skipIf(!isThere)`.
 */
export const databases: readonly TestDatabase[] = [
  { name: 'SQLite', isThere: true, use: () => () => openSqlite(':memory:') },
  {
    name: 'PostgreSQL',
    isThere: postgresBin !== undefined,
    use() {
      beforeAll(async () => {
        if (postgresBin) server = await startPostgres()
      })
      afterAll(async () => {
        await server?.close()
        server = undefined
      })
      return () => openPostgres({ ...server?.connection, schema: `directory_${++count}` })
    },
  },
]
