/** Rooms for tests of parts: a database, a clock that is moved by hand, no server. */
import { pino } from 'pino'
import { privateKeyToAccount } from 'viem/accounts'
import { aProvider } from '../../test/aProvider.ts'
import { createApi } from '../http/createApi.ts'
import type { Route } from '../http/Route.ts'
import { createSnapshot } from '../listing/Snapshot.ts'
import type { ProviderRecord } from '../Provider.ts'
import type { Rooms } from '../Rooms.ts'
import type { Settings } from '../settings.ts'
import type { Database } from '../store/Database.ts'
import { createProviders } from '../store/Providers.ts'

export const prober = privateKeyToAccount(`0x${'11'.repeat(32)}`)
export const otherProber = privateKeyToAccount(`0x${'22'.repeat(32)}`)

export type TestRooms = Rooms & {
  /** Unix milliseconds; moved by hand. */
  clock: { now: number }
  add(changes?: Partial<ProviderRecord>): Promise<ProviderRecord>
  record(id: string): Promise<ProviderRecord>
}

export function createTestRooms(database: Database, changes: Partial<Settings> = {}): TestRooms {
  const clock = { now: Date.UTC(2030, 0, 10, 12) }
  const now = () => clock.now
  const providers = createProviders(database)
  const settings: Settings = {
    ...{ origin: 'https://market.example', database, chains: [], operators: { addresses: [] }, review: true },
    ...{ allowLoopback: true, prober, probers: [], probeEveryMs: 300_000, confirmations: 0, proxies: 0 },
    ...{ requestsPerMinute: 1e9, assets: '' },
    ...changes,
  }
  return {
    ...{ settings, database, providers, now, clock },
    snapshot: createSnapshot(providers, now),
    outward: () => Promise.reject(new Error('nothing is asked in this test')),
    log: pino({ level: 'silent' }),
    async add(record) {
      const added = await providers.add(aProvider(record))
      if (!added) throw new Error('its URL is taken')
      return added
    },
    async record(id) {
      const record = await providers.get(id)
      if (!record) throw new Error(`there is no ${id}`)
      return record
    },
  }
}

/** Serves routes without a server. */
export function callable(rooms: Rooms, routes: readonly Route[]) {
  const operators = { operatorOf: async () => undefined } as never
  const api = createApi({
    ...{ routes, operators, proxies: 0, log: rooms.log },
    limit: { take: () => 0 },
  })
  return async (method: string, path: string, body?: object) => {
    const content = body && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }
    const response = await api.request(path, { method, ...content }, {})
    // biome-ignore lint/suspicious/noExplicitAny: JSON that a test looks into.
    return { status: response.status, json: (await response.json()) as any }
  }
}
