/** What goes on beside requests: probing, following the chain, scoring. */
import { createChainClients } from './chain/clients.ts'
import { followPayments } from './chain/followPayments.ts'
import type { Funds } from './funds/createFunds.ts'
import { startProber } from './health/startProber.ts'
import { knownContracts } from './knownContracts.ts'
import { probe } from './probe/probe.ts'
import type { Rooms } from './Rooms.ts'
import { startRescorer } from './score/startRescorer.ts'

export type Work = {
  /** One turn of everything, now; for tests and demos. */
  round(): Promise<void>
  stop(): Promise<void>
}

/** Starts all of it. */
export function startWork(rooms: Rooms, funds: Pick<Funds, 'start'>): Work {
  const { settings, database, outward, log, snapshot } = rooms
  const { confirmations } = settings
  const isKnownContract = knownContracts(settings)
  const prober = startProber(rooms, { probe: (target) => probe({ ...target, outward, isKnownContract }) })
  const rescorer = startRescorer(rooms)
  const followers = createChainClients(settings.chains).map((chain) =>
    followPayments({ chain, database, confirmations, log }),
  )
  for (const follower of followers) follower.start()
  const giving = funds.start()
  return {
    async round() {
      await Promise.all([prober.round(), ...followers.map((follower) => follower.round())])
      await rescorer.round()
      await snapshot.refresh()
    },
    async stop() {
      await Promise.all([prober.stop(), rescorer.stop(), ...followers.map((follower) => follower.stop())])
      await giving.stop()
    },
  }
}
