/** Connection tests that anybody may ask for: bounded, so that nobody is flooded through us. */

import { knownContracts } from '../knownContracts.ts'
import type { ConnectionTest, TestOptions } from '../probe/ConnectionTest.ts'
import { testConnection } from '../probe/testConnection.ts'
import { Problem } from '../problem.ts'
import type { Rooms } from '../Rooms.ts'

/** @param network That asks for it. @throws {Problem} 429 */
export type ConnectionTests = (
  target: Omit<TestOptions, 'outward'>,
  network: string,
) => Promise<ConnectionTest>

const mostAtOnce = 100
/** Servers that answer slowly keep a test for a minute: nobody shall keep all of them. */
const mostOfNetwork = 5
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
  let atOnce = 0
  let startedAt = 0
  const hosts = new Map<string, number>()
  const running = new Map<string, number>()

  return async (target, network) => {
    if (now() - startedAt >= window) {
      startedAt = now()
      hosts.clear()
    }
    const { host } = new URL(target.apiUrl)
    const count = (hosts.get(host) ?? 0) + 1
    const own = running.get(network) ?? 0
    const isFull = own >= mostOfNetwork || atOnce >= mostAtOnce
    if (count > mostOfHost || isFull || hosts.size >= mostHosts) {
      throw new Problem(429, 'tests_busy', 'There are too many connection tests at the moment.', {
        action: 'Try again in a minute.',
        headers: { 'Retry-After': '60' },
      })
    }
    hosts.set(host, count)
    atOnce++
    running.set(network, own + 1)
    try {
      return await testConnection({ ...target, outward, isKnownContract })
    } finally {
      atOnce--
      const left = (running.get(network) ?? 1) - 1
      if (left > 0) running.set(network, left)
      else running.delete(network)
    }
  }
}
