import { privateKeyToAccount } from 'viem/accounts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Target } from '../probe/ConnectionTest.ts'
import type { Probe } from '../probe/probe.ts'
import { openSqlite } from '../store/sqlite.ts'
import { readHistory } from './history.ts'
import { prober as account, createTestRooms, type TestRooms } from './rooms.fixture.ts'
import { type ProberOptions, startProber } from './startProber.ts'
import { believedProbers } from './updateHealth.ts'

const payee = privateKeyToAccount(`0x${'33'.repeat(32)}`).address
const thief = privateKeyToAccount(`0x${'44'.repeat(32)}`).address

const offerOf = (providerAddress = payee, price = '0.001') => ({
  ...{ protocol: 'drain' as const, providerAddress, chainId: 31337 },
  models: [{ id: 'small', name: 'Small', inputPer1kTokens: price }],
})
const well = (changes: Partial<Probe> = {}): Probe => ({
  ...{ reached: true, correct: true, latencyMs: 50, offer: offerOf() as never, docs: 'How to use it.' },
  ...changes,
})
const gone: Probe = { reached: false, correct: false, latencyMs: null, problem: 'Nobody answers there.' }
const forever = new Promise<never>(() => {})

let rooms: TestRooms
const stops: (() => Promise<void>)[] = []

/** Looks at who is due when it is told to. */
function start(probe: ProberOptions['probe'], options: Partial<ProberOptions> = {}) {
  const prober = startProber(rooms, { probe, everyMs: 1e8, ...options })
  stops.push(prober.stop)
  return prober
}

beforeEach(async () => {
  rooms = createTestRooms(await openSqlite(':memory:'))
})
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()))
  await rooms.database.close()
})

const aListing = (id: string) => ({
  ...{ id, apiUrl: `https://${id}.example`, owner: payee.toLowerCase() },
  offer: { providerAddress: payee, chainId: 31337, contract: null, models: [], docs: '' },
})

test('takes those that are due, tells the probe what was registered, and puts the next one off with jitter', async () => {
  for (const id of ['one', 'two', 'three']) await rooms.add(aListing(id))
  await rooms.add({ ...aListing('later'), nextProbeAt: rooms.clock.now + 1 })
  await rooms.add({ ...aListing('pending'), state: 'pending' })
  const asked: Target[] = []
  const prober = start(async (target) => {
    asked.push(target)
    return well()
  })
  expect(await prober.round()).toBe(3)
  expect(asked.map(({ apiUrl }) => apiUrl).sort()).toEqual([
    'https://one.example',
    'https://three.example',
    'https://two.example',
  ])
  expect(asked[0]).toMatchObject({ protocol: 'drain', providerAddress: payee })
  const next = await Promise.all(
    ['one', 'two', 'three'].map(async (id) => (await rooms.record(id)).nextProbeAt),
  )
  for (const at of next) {
    expect(at).toBeGreaterThanOrEqual(rooms.clock.now + 240_000)
    expect(at).toBeLessThanOrEqual(rooms.clock.now + 360_000)
  }
  expect(new Set(next).size).toBeGreaterThan(1)
  expect(await prober.round()).toBe(0)
})

test('takes over prices and docs, and what it measured', async () => {
  await rooms.add(aListing('one'))
  await start(async () => well()).round()
  expect(await rooms.record('one')).toMatchObject({
    offer: {
      providerAddress: payee,
      models: [{ id: 'small', inputPer1kTokens: '0.001' }],
      docs: 'How to use it.',
    },
    health: { status: 'online', latencyMs: 50, medianMs: 50, uptimeDay: 1, lastChecked: rooms.clock.now },
    scoreParts: { reachability: 7 / 13 },
  })
})

test('a server that suddenly names another address is not correct, and its prices are not taken over', async () => {
  await rooms.add({ ...aListing('one'), offer: { ...aListing('one').offer, docs: 'The old docs.' } })
  await start(async () => well({ offer: offerOf(thief, '9') as never })).round()
  const { offer, health } = await rooms.record('one')
  expect(offer).toMatchObject({ providerAddress: payee, models: [], docs: 'The old docs.' })
  expect(health.status).toBe('degraded')
  expect(health.problem).toContain(`The server names ${thief}`)
})

test('what a server said before its owner moved it elsewhere is not taken over', async () => {
  await rooms.add(aListing('one'))
  await start(async () => {
    await rooms.providers.update('one', () => ({ apiUrl: 'https://elsewhere.example' }))
    return well()
  }).round()
  expect((await rooms.record('one')).offer.models).toEqual([])
})

test('keeps what the status was and why', async () => {
  await rooms.add(aListing('one'))
  let answer = well()
  const prober = start(async () => answer)
  for (const next of [well(), gone, gone, well()]) {
    answer = next
    rooms.clock.now += 400_000
    expect(await prober.round()).toBe(1)
  }
  const { changes } = await readHistory(rooms.database, 'one', {
    now: rooms.clock.now,
    probers: believedProbers(rooms),
  })
  expect(changes.map(({ status, reason }) => [status, reason])).toEqual([
    ['online', ''],
    ['offline', 'Nobody answers there.'],
    ['degraded', 'Nobody answers there.'],
  ])
  expect((await rooms.record('one')).health.problem).toBe('')
})

describe('a provider that never answers', () => {
  test('does not hold up others, and counts as not reached', async () => {
    await rooms.add(aListing('hung'))
    await rooms.add(aListing('fine'))
    const prober = start(({ apiUrl }) => (apiUrl.includes('hung') ? forever : Promise.resolve(well())), {
      everyMs: 10,
      slowAfterMs: 100,
      patienceMs: 300,
    })
    await expect.poll(async () => (await rooms.record('hung')).health.problem).toMatch(/did not finish/)
    expect((await rooms.record('hung')).health.status).toBe('offline')
    expect((await rooms.record('fine')).health.status).toBe('online')
    await prober.stop()
  })

  test('fills at most its room: the others are taken in the rest', async () => {
    for (let index = 0; index < 6; index++) await rooms.add(aListing(`fine-${index}`))
    await rooms.add({ ...aListing('hung'), nextProbeAt: -1 })
    start(({ apiUrl }) => (apiUrl.includes('hung') ? forever : Promise.resolve(well())), {
      ...{ atOnce: 2, everyMs: 5, slowAfterMs: 100, patienceMs: 1e7 },
    })
    for (let index = 0; index < 6; index++)
      await expect.poll(async () => (await rooms.record(`fine-${index}`)).health.uptimeDay).toBe(1)
    expect((await rooms.record('hung')).health.uptimeDay).toBe(null)
  })
})

test('stops at once, whatever it waits for, and records nothing of it', async () => {
  await rooms.add(aListing('hung'))
  let asked = 0
  const prober = start(() => {
    asked += 1
    return forever
  })
  const round = prober.round()
  await expect.poll(() => asked).toBe(1)
  await prober.stop()
  expect(await round).toBe(1)
  expect(await rooms.database.all('SELECT * FROM probe_hours')).toEqual([])
  expect(await prober.round()).toBe(0)
})

test('a probe that fails on our side is not held against the provider, and does not stop the others', async () => {
  await rooms.add(aListing('odd'))
  await rooms.add(aListing('fine'))
  const prober = start(async ({ apiUrl }) => {
    if (apiUrl.includes('odd')) throw new Error('a mistake of ours')
    return well()
  })
  expect(await prober.round()).toBe(2)
  expect((await rooms.record('odd')).health.uptimeDay).toBe(null)
  expect((await rooms.record('fine')).health.uptimeDay).toBe(1)
})

test('two instances never probe one twice', async () => {
  for (let index = 0; index < 40; index++) await rooms.add(aListing(`p${index}`))
  const asked: string[] = []
  const probe = async ({ apiUrl }: Target) => {
    asked.push(apiUrl)
    return well()
  }
  const [one, other] = [start(probe), start(probe)]
  const counts = await Promise.all([one.round(), other.round()])
  expect(counts[0] + counts[1]).toBe(40)
  expect(new Set(asked).size).toBe(40)
  expect(asked).toHaveLength(40)
})

test('without an account of its own there are no probes', async () => {
  const quiet = createTestRooms(rooms.database, { prober: undefined })
  await quiet.add(aListing('one'))
  const prober = startProber(quiet, { probe: async () => well(), everyMs: 1 })
  expect(await prober.round()).toBe(0)
  await prober.stop()
  expect(believedProbers(rooms)).toEqual([account.address.toLowerCase()])
})
