import { expect, it } from 'vitest'
import { aProvider } from '../../test/aProvider.ts'
import { createProviders } from '../store/Providers.ts'
import { openSqlite } from '../store/sqlite.ts'
import { createPreparedLists } from './PreparedLists.ts'
import { createSnapshot } from './Snapshot.ts'

it('keeps answers for those who ask again, and no more bytes of them than it may', async () => {
  const database = await openSqlite(':memory:')
  const providers = createProviders(database)
  const { offer } = aProvider()
  const name = 'x'.repeat(200)
  const models = Array.from({ length: 200 }, (_, number) => ({
    ...{ id: `${name}${number}`, name, inputPer1kTokens: '0.1', outputPer1kTokens: null },
  }))
  for (let number = 0; number < 100; number++) {
    const id = `p${number}`
    await providers.add(aProvider({ id, apiUrl: `https://${id}.example`, offer: { ...offer, models } }))
  }
  const snapshot = createSnapshot(providers, () => 1_000)
  await snapshot.refresh()
  const lists = createPreparedLists(snapshot, () => 1_000)

  const first = lists.get('limit=100')
  const { length } = first.body
  expect(length).toBeGreaterThan(8 << 20)
  // Compared outside of `expect`, which would print megabytes.
  expect(lists.get('limit=100') === first).toBe(true)
  for (let limit = 99; limit > 90; limit--) lists.get(`limit=${limit}`)
  expect(lists.get('limit=100') === first).toBe(false)
  const last = lists.get('limit=91')
  expect(lists.get('limit=91') === last).toBe(true)
  await database.close()
})
