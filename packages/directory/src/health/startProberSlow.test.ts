/** Servers that hang keep nobody else waiting, however many they are. */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { ProviderRecord, Status } from '../Provider.ts'
import { probe } from '../probe/probe.ts'
import { outward, type Setting, startSetting } from '../probe/providers.fixture.ts'
import { openSqlite } from '../store/sqlite.ts'
import { createTestRooms, type TestRooms } from './rooms.fixture.ts'
import { type ProberOptions, startProber } from './startProber.ts'

/** In milliseconds: longer than any test. */
const never = 1e8
const leaseBeyond = 60_000

let setting: Setting
let rooms: TestRooms
const stops: (() => Promise<unknown>)[] = []
beforeAll(async () => {
  setting = await startSetting()
})
afterAll(() => setting?.close())
beforeEach(async () => {
  rooms = createTestRooms(await openSqlite(':memory:'))
})
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()))
  await setting.stop()
  await rooms.database.close()
})

/** Looks at who is due when it is told to. */
function start(options: Partial<ProberOptions> = {}) {
  const prober = startProber(rooms, {
    probe: (target) => probe({ ...target, outward, timeoutMs: never }),
    ...{ everyMs: never, slowAfterMs: never, patienceMs: never },
    ...options,
  })
  stops.push(prober.stop)
  return prober
}

/** A server that answers nobody until it is told to hang up; a listing stands below each path. */
async function startHanging() {
  const waiting = new Map<string, ServerResponse>()
  const seen: string[] = []
  let most = 0
  const server = createServer((req, res) => {
    const name = req.url?.split('/')[1] ?? ''
    seen.push(name)
    waiting.set(name, res)
    most = Math.max(most, waiting.size)
    res.on('close', () => {
      if (waiting.get(name) === res) waiting.delete(name)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  stops.push(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Of every request, in its order, the name of the listing. */
    seen,
    open: () => [...waiting.keys()],
    /** How many waited at the same time, at most. */
    most: () => most,
    hangUp: (name: string) => waiting.get(name)?.destroy(),
  }
}

/** A listing that is due `at` so many milliseconds before or after now. */
function list(id: string, apiUrl: string, status: Status, at = 0): Promise<ProviderRecord> {
  const { address } = setting.chain.accounts[1]
  return rooms.add({
    ...{ id, apiUrl, owner: address.toLowerCase(), nextProbeAt: rooms.clock.now + at },
    offer: { providerAddress: address, chainId: 31337, contract: null, models: [], docs: '' },
    health: {
      ...{ status, lastChecked: null, latencyMs: null, medianMs: null, p95Ms: null },
      ...{ uptimeDay: null, uptimeMonth: null, problem: '' },
    },
  })
}

const names = (count: number) => Array.from({ length: count }, (_, index) => `hung-${index}`)
const isProbed = async (id: string) => (await rooms.record(id)).health.uptimeDay !== null

test('those that were dead last time wait for each other, and the others keep their rhythm', async () => {
  const hanging = await startHanging()
  const hung = names(20)
  for (const [index, name] of hung.entries())
    await list(name, `${hanging.url}/${name}`, 'offline', index - 1_000)
  const fine = ['a', 'b', 'c']
  for (const id of fine) await list(id, await setting.provider(), 'online')
  const prober = start({ atOnce: 8 })

  const rounds = [prober.round()]
  for (const id of fine) await expect.poll(async () => (await rooms.record(id)).health.status).toBe('online')
  await expect.poll(hanging.open).toEqual(['hung-0', 'hung-1'])
  for (let round = 0; round < 3; round++) {
    for (const id of fine) await expect.poll(() => isDue(id)).toBe(false)
    const before = rooms.clock.now
    rooms.clock.now += 400_000
    rounds.push(prober.round())
    for (const id of fine)
      await expect.poll(async () => (await rooms.record(id)).health.lastChecked).toBe(before + 400_000)
  }
  // Nobody hung up meanwhile, and no more than their share of eight were asked.
  expect(hanging.seen).toEqual(['hung-0', 'hung-1'])

  for (const name of hung) {
    await expect.poll(hanging.open).toContain(name)
    hanging.hangUp(name)
  }
  expect((await Promise.all(rounds)).slice(0, 2)).toEqual([23, 3])
  expect(hanging.seen).toEqual(hung)
  expect(hanging.most()).toBe(2)
  for (const name of hung) expect((await rooms.record(name)).health.status).toBe('offline')
})

async function isDue(id: string): Promise<boolean> {
  const { nextProbeAt, health } = await rooms.record(id)
  return health.uptimeDay === null || nextProbeAt <= rooms.clock.now
}

test('those that begin to hang are broken off, and the others get their places', async () => {
  const hanging = await startHanging()
  const hung = names(6)
  for (const [index, name] of hung.entries())
    await list(name, `${hanging.url}/${name}`, 'online', index - 1_000)
  const quick = await setting.listen((_, res) => res.writeHead(404).end())
  for (const id of ['a', 'b', 'c']) await list(id, `${quick}/${id}`, 'online')
  const prober = start({ atOnce: 4, slowAfterMs: 2_000, everyMs: 20 })
  for (const id of ['a', 'b', 'c']) await expect.poll(() => isProbed(id)).toBe(true)
  // One waits in the lane of the slow ones; the connections of the others were ended.
  await expect.poll(() => hanging.open()).toHaveLength(1)
  expect(hanging.seen).toHaveLength(7)
  expect(new Set(hanging.seen)).toEqual(new Set(hung))
  for (const name of hung) expect(await isProbed(name)).toBe(false)
  await prober.stop()
  expect(hanging.seen).toHaveLength(7)
})

test('one that is dead, and says so at once, is no slow one', async () => {
  const hanging = await startHanging()
  let asked = 0
  const dead = await setting.listen((req) => {
    asked += 1
    req.destroy()
  })
  await list('dead', dead, 'offline')
  const prober = start({ atOnce: 2 })
  expect(await prober.round()).toBe(1)
  expect((await rooms.record('dead')).health.status).toBe('offline')
  await list('hung-0', `${hanging.url}/hung-0`, 'offline')
  void prober.round()
  await expect.poll(hanging.open).toEqual(['hung-0'])
  rooms.clock.now += 400_000
  expect(await prober.round()).toBe(1)
  expect(asked).toBe(2)
  expect(hanging.open()).toEqual(['hung-0'])
})

test('one that waited for longer than it was kept keeps its place', async () => {
  const hanging = await startHanging()
  const hung = names(4)
  for (const [index, name] of hung.entries())
    await list(name, `${hanging.url}/${name}`, 'offline', index - 1_000)
  const prober = start({ atOnce: 4 })
  const round = prober.round()
  await expect.poll(hanging.open).toEqual(['hung-0'])
  rooms.clock.now += never + leaseBeyond + 1
  expect(await prober.round()).toBe(0)
  for (const name of hung) {
    await expect.poll(hanging.open).toEqual([name])
    hanging.hangUp(name)
  }
  expect(await round).toBe(4)
  expect(hanging.seen).toEqual(hung)
})

test('one that another instance has taken meanwhile is left to it', async () => {
  const hanging = await startHanging()
  for (const [index, name] of names(3).entries())
    await list(name, `${hanging.url}/${name}`, 'offline', index - 1_000)
  const round = start({ atOnce: 4 }).round()
  await expect.poll(hanging.open).toEqual(['hung-0'])
  rooms.clock.now += never + leaseBeyond + 1
  const taken: string[] = []
  const other = start({
    async probe({ apiUrl }) {
      taken.push(apiUrl.split('/').at(-1) ?? '')
      return { reached: false, correct: false, latencyMs: null }
    },
  })
  expect(await other.round()).toBe(3)
  expect(taken.sort()).toEqual(names(3))
  hanging.hangUp('hung-0')
  expect(await round).toBe(3)
  expect(hanging.seen).toEqual(['hung-0'])
})

test('stops at once, whoever waits in line', async () => {
  const hanging = await startHanging()
  for (const name of names(20)) await list(name, `${hanging.url}/${name}`, 'offline')
  const prober = start({ atOnce: 4 })
  const round = prober.round()
  await expect.poll(hanging.open).toHaveLength(1)
  const before = await rooms.providers.revision()
  await prober.stop()
  expect(await round).toBe(20)
  expect(hanging.seen).toHaveLength(1)
  expect(await rooms.providers.revision()).toBe(before)
})
