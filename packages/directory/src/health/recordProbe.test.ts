import { describe, expect, test } from 'vitest'
import { aProvider } from '../../test/aProvider.ts'
import { databases } from '../../test/databases.ts'
import { createProviders } from '../store/Providers.ts'
import { readHistory } from './history.ts'
import { medianOf, readProbers } from './readProbers.ts'
import { hourMs, pruneProbes, recordProbe } from './recordProbe.ts'

const noon = Date.UTC(2030, 0, 10, 12)
const minute = 60_000

const aReport = (at: number, changes: object = {}) => ({
  ...{ providerId: 'one', prober: '0xaa', at, reached: true, correct: true, latencyMs: 100 },
  ...changes,
})

describe.each(databases)('reports of probers on $name', ({ use, isThere }) => {
  describe.skipIf(!isThere)('', () => {
    const openEmpty = use()
    async function open() {
      const database = await openEmpty()
      const providers = createProviders(database)
      for (const id of ['one', 'two']) await providers.add(aProvider({ id, apiUrl: `https://${id}.example` }))
      return database
    }

    test('are added up by the hour', async () => {
      const database = await open()
      expect(await recordProbe(database, aReport(noon))).toBe('counted')
      await recordProbe(database, aReport(noon + 5 * minute, { correct: false, latencyMs: 300 }))
      await recordProbe(
        database,
        aReport(noon + 61 * minute, { reached: false, correct: false, latencyMs: null }),
      )
      const found = await readProbers(database, { ids: ['one'], probers: ['0xaa'], now: noon + 62 * minute })
      const [sums] = found.get('one') ?? []
      expect(sums).toMatchObject({
        prober: '0xaa',
        day: { probes: 3, reached: 2, correct: 1, latencies: [100, 300] },
        week: { probes: 3, reached: 2, correct: 1 },
        month: { probes: 3, reached: 2, correct: 1 },
        outcomes: 'crn',
        reportedAt: noon + 61 * minute,
        latencyMs: null,
        ...{ firstHour: noon, lastCorrectHour: noon },
      })
      expect(sums && medianOf(sums)).toBe(200)
      const history = await readHistory(database, 'one', { now: noon + 62 * minute, probers: ['0xaa'] })
      expect(history.hours).toEqual([
        { hour: noon, probes: 2, reached: 2, correct: 1, medianMs: 200, p95Ms: 300 },
        { hour: noon + hourMs, probes: 1, reached: 0, correct: 0, medianMs: null, p95Ms: null },
      ])
      await database.close()
    })

    test('count once, and only in their order', async () => {
      const database = await open()
      expect(await recordProbe(database, aReport(noon))).toBe('counted')
      expect(await recordProbe(database, aReport(noon))).toBe('late')
      expect(await recordProbe(database, aReport(noon - 1))).toBe('late')
      expect(await recordProbe(database, aReport(noon - 2 * hourMs))).toBe('late')
      expect(await recordProbe(database, aReport(noon, { prober: '0xbb' }))).toBe('counted')
      expect(await recordProbe(database, aReport(noon, { providerId: 'two' }))).toBe('counted')
      const row = await database.one(
        "SELECT probes FROM probe_hours WHERE provider_id = 'one' AND prober = '0xaa'",
      )
      expect(row).toEqual({ probes: 1 })
      await database.close()
    })

    test.each(['pending', 'rejected', 'suspended', 'withdrawn'] as const)(
      'of one that is %s are not counted, nor of nobody',
      async (state) => {
        const database = await open()
        await createProviders(database).update('one', () => ({ state }))
        expect(await recordProbe(database, aReport(noon))).toBe('unlisted')
        expect(await recordProbe(database, aReport(noon, { providerId: 'nobody' }))).toBe('unlisted')
        expect(await database.all('SELECT * FROM probe_hours')).toEqual([])
        await database.close()
      },
    )

    test('the same report twenty times at once counts once', async () => {
      const database = await open()
      const all = Array.from({ length: 20 }, () => recordProbe(database, aReport(noon)))
      expect((await Promise.all(all)).filter((recorded) => recorded === 'counted')).toHaveLength(1)
      await database.close()
    })

    test('keep at most 60 latencies an hour, the latest', async () => {
      const database = await open()
      for (let index = 0; index < 70; index++)
        await recordProbe(database, aReport(noon + index, { latencyMs: index }))
      const found = await readProbers(database, { ids: ['one'], probers: ['0xaa'], now: noon + minute })
      const day = found.get('one')?.[0]?.day
      expect(day?.probes).toBe(70)
      expect(day?.latencies).toEqual(Array.from({ length: 60 }, (_, index) => index + 10))
      await database.close()
    })

    test('of nobody who is believed are not read, and old ones are forgotten', async () => {
      const database = await open()
      await recordProbe(database, aReport(noon, { prober: '0xbb' }))
      expect(await readProbers(database, { ids: ['one'], probers: ['0xaa'], now: noon })).toEqual(new Map())
      expect((await readHistory(database, 'one', { now: noon, probers: [] })).hours).toEqual([])
      await pruneProbes(database, noon + 31 * 24 * hourMs)
      expect(await database.all('SELECT * FROM probe_hours')).toHaveLength(1)
      await pruneProbes(database, noon + 32 * 24 * hourMs)
      expect(await database.all('SELECT * FROM probe_hours')).toHaveLength(0)
      await database.close()
    })

    test('several probers: an hour is told as the one in the middle saw it', async () => {
      const database = await open()
      for (const [prober, correct] of [
        ['0xaa', true],
        ['0xbb', true],
        ['0xcc', false],
      ] as const)
        await recordProbe(database, aReport(noon, { prober, correct, latencyMs: correct ? 100 : 9_000 }))
      const { hours } = await readHistory(database, 'one', { now: noon, probers: ['0xaa', '0xbb', '0xcc'] })
      expect(hours).toEqual([{ hour: noon, probes: 1, reached: 1, correct: 1, medianMs: 100, p95Ms: 100 }])
      await database.close()
    })
  })
})
