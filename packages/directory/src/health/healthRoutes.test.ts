import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openSqlite } from '../store/sqlite.ts'
import { type SignedReport, signReport } from './acceptReport.ts'
import { healthRoutes } from './healthRoutes.ts'
import { callable, createTestRooms, otherProber, prober, type TestRooms } from './rooms.fixture.ts'

let rooms: TestRooms
let call: ReturnType<typeof callable>

beforeEach(async () => {
  rooms = createTestRooms(await openSqlite(':memory:'), { probers: [otherProber.address] })
  await rooms.add()
  await rooms.add({ id: 'two', apiUrl: 'https://two.example' })
  call = callable(rooms, healthRoutes(rooms))
})
afterEach(() => rooms.database.close())

const aReport = (changes: object = {}) => ({
  ...{ providerId: 'one', reached: true, correct: true, latencyMs: 42, at: rooms.clock.now },
  ...changes,
})
const send = (report: SignedReport | object) => call('POST', '/api/probes', report)

test('a report of a prober that is believed counts, once', async () => {
  const signed = await signReport(rooms, otherProber, aReport())
  expect(await send(signed)).toEqual({ status: 200, json: { ok: true } })
  expect(await send(signed)).toMatchObject({ status: 409, json: { code: 'report_used' } })
  expect((await rooms.record('one')).health).toMatchObject({ status: 'online', latencyMs: 42, uptimeDay: 1 })
})

describe('refused is', () => {
  test('a stranger’s', async () => {
    const settings = { ...rooms.settings, probers: [] }
    const strict = callable({ ...rooms, settings }, healthRoutes({ ...rooms, settings }))
    expect(
      await strict('POST', '/api/probes', await signReport(rooms, otherProber, aReport())),
    ).toMatchObject({
      status: 403,
    })
  })

  test.each([
    ['another provider', { providerId: 'two' }],
    ['another outcome', { correct: false }],
    ['another latency', { latencyMs: 1 }],
    ['another time', { at: 1 }],
    ['another signing time', { issuedAt: 1 }],
  ])('one whose signature was for %s', async (_, changes) => {
    const signed = await signReport(rooms, prober, aReport())
    const { status } = await send({ ...signed, ...changes })
    // Recovered is then some other address.
    expect([401, 403]).toContain(status)
    expect(await rooms.database.all('SELECT * FROM probe_hours')).toEqual([])
  })

  test('one for another directory', async () => {
    const elsewhere = { ...rooms, settings: { ...rooms.settings, origin: 'https://other.example' } }
    expect(await send(await signReport(elsewhere, prober, aReport()))).toMatchObject({ status: 403 })
  })

  test.each([
    ['of the past', -700_000, 400],
    ['of the future', 120_000, 400],
  ])('one %s', async (_, ahead, status) => {
    const signed = await signReport(rooms, prober, aReport({ at: rooms.clock.now + ahead }))
    expect(await send(signed)).toMatchObject({ status })
  })

  test('one that is signed too long ago', async () => {
    const signed = await signReport(rooms, prober, aReport())
    rooms.clock.now += 700_000
    expect(await send(signed)).toMatchObject({ status: 401, json: { code: 'signature_expired' } })
  })

  test('what can’t be, and what isn’t known', async () => {
    const impossible = await signReport(rooms, prober, aReport({ reached: false }))
    expect(await send(impossible)).toMatchObject({ status: 400 })
    const unknown = await signReport(rooms, prober, aReport({ providerId: 'nobody' }))
    expect(await send(unknown)).toMatchObject({ status: 404 })
    expect(await send({ ...(await signReport(rooms, prober, aReport())), extra: 1 })).toMatchObject({
      status: 400,
    })
  })
})

test('the history is there for everybody', async () => {
  await send(await signReport(rooms, prober, aReport()))
  const { status, json } = await call('GET', '/api/directory/providers/one/health')
  expect(status).toBe(200)
  expect(json).toEqual({
    providerId: 'one',
    hours: [{ hour: '2030-01-10T12:00:00.000Z', probes: 1, reached: 1, correct: 1, medianMs: 42, p95Ms: 42 }],
    changes: [],
  })
  expect(await call('GET', '/api/directory/providers/nobody/health')).toMatchObject({ status: 404 })
})
