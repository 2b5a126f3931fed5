import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Postgres, postgresBin, startPostgres } from '../../../provider/test/startPostgres.ts'
import { openPostgres } from './postgres.ts'

describe.skipIf(postgresBin === undefined)('an empty PostgreSQL', () => {
  let server: Postgres
  beforeAll(async () => {
    server = await startPostgres()
  })
  afterAll(() => server?.close())

  it('is opened by several instances that start at once', async () => {
    for (const schema of ['first', 'second', 'third']) {
      const opening = Array.from({ length: 6 }, () => openPostgres({ ...server.connection, schema, max: 2 }))
      const opened = await Promise.allSettled(opening)
      for (const one of opened) if (one.status === 'fulfilled') await one.value.close()
      expect(opened.filter(({ status }) => status === 'rejected')).toEqual([])
    }
  })
})
