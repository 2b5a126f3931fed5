/** A listing that goes off the list while its server is asked. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { databases } from '../../test/databases.ts'
import type { Probe } from '../probe/probe.ts'
import type { Database } from '../store/Database.ts'
import { createTestRooms, type TestRooms } from './rooms.fixture.ts'
import { startProber } from './startProber.ts'
import { updateHealth } from './updateHealth.ts'

const offer = {
  ...{ providerAddress: null, chainId: 31337, contract: null, docs: 'Written after it had left.' },
  models: [{ id: 'late', name: 'Late', inputPer1kTokens: '1', outputPer1kTokens: null }],
}
const apiUrl = 'https://one.example'
/** As its owner's withdrawal leaves it. */
const withdrawn = { state: 'withdrawn', offer: { ...offer, models: [], docs: '' } } as const

describe.each(databases)('a provider’s health on $name', ({ isThere, use }) => {
  describe.skipIf(!isThere)('', () => {
    const open = use()
    let database: Database
    let rooms: TestRooms
    beforeEach(async () => {
      database = await open()
      rooms = createTestRooms(database)
      await rooms.add({ apiUrl, offer: { ...offer, docs: 'The docs.' } })
    })
    afterEach(() => database.close())

    test('a probe that ends after its listing was withdrawn writes nothing into it', async () => {
      const answer = { reached: true, correct: true, latencyMs: 50, docs: offer.docs, offer: undefined }
      const prober = startProber(rooms, {
        everyMs: 1e8,
        async probe(): Promise<Probe> {
          await rooms.providers.update('one', () => withdrawn)
          return { ...answer, offer: { ...offer, protocol: 'drain' } as never }
        },
      })
      expect(await prober.round()).toBe(1)
      await prober.stop()
      expect(await rooms.record('one')).toMatchObject({
        ...withdrawn,
        health: { status: 'online', lastChecked: 1_000 },
      })
      expect(await database.all('SELECT * FROM probe_hours')).toEqual([])
      expect(await database.all('SELECT * FROM status_changes')).toEqual([])
    })

    test.each(['pending', 'rejected', 'suspended', 'withdrawn'] as const)(
      'what was found is not written once it is %s',
      async (state) => {
        await rooms.providers.update('one', () => ({ state }))
        const before = await rooms.record('one')
        const finding = { problem: 'Too late.', nextProbeAt: 5, offer: { ...offer, apiUrl } }
        expect(await updateHealth(rooms, 'one', finding)).toBeUndefined()
        expect(await rooms.record('one')).toEqual(before)
      },
    )

    test('a withdrawal and what is found at the same moment leave no docs behind', async () => {
      for (let index = 0; index < 10; index++) {
        const [id, url] = [`p${index}`, `https://p${index}.example`]
        await rooms.add({ id, apiUrl: url, offer })
        await Promise.all([
          updateHealth(rooms, id, { offer: { ...offer, apiUrl: url } }),
          rooms.providers.update(id, () => withdrawn),
        ])
        expect(await rooms.record(id)).toMatchObject(withdrawn)
      }
    })
  })
})
