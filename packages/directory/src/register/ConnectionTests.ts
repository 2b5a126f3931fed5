/** Connection tests that anybody may ask for: bounded, so that nobody is flooded through us. */

import { knownContracts } from '../knownContracts.ts'
import type { ConnectionTest, TestOptions } from '../probe/ConnectionTest.ts'
import { testConnection } from '../probe/testConnection.ts'
import { Problem } from '../problem.ts'
import type { Rooms } from '../Rooms.ts'

export type ConnectionTests = (target: Omit<TestOptions, 'outward'>) => Promise<ConnectionTest>

const mostAtOnce = 20
const mostOfHost = 10
const window = 60_000
/** Hosts that are counted; a thief that names more has more hosts than that. */
const mostHosts = 10_000

export function createConnectionTests({
  outward,
  now,
  settings,
}: Pick<Rooms, 'outward' | 'now' | 'settings'>): ConnectionTests {
  const isKnownContract = knownContracts(settings)
  let running = 0
  let startedAt = 0
  const hosts = new Map<string, number>()

  return async (target) => {
    if (now() - startedAt >= window) {
      startedAt = now()
      hosts.clear()
    }
    const { host } = new URL(target.apiUrl)
    const count = (hosts.get(host) ?? 0) + 1
    if (count > mostOfHost || running >= mostAtOnce || hosts.size >= mostHosts) {
      throw new Problem(429, 'tests_busy', 'There are too many connection tests at the moment.', {
        action: 'Try again in a minute.',
        headers: { 'Retry-After': '60' },
      })
    }
    hosts.set(host, count)
    running++
    try {
      return await testConnection({ ...target, outward, isKnownContract })
    } finally {
      running--
    }
  }
}
