import type { Hex } from 'viem'
import type { Ledger } from '../ledger/Ledger.ts'
import { remembered } from './remembered.ts'

/** The channels whose latest claim failed, as long as the ledger shows that they owe what was not claimed then. */
export type FailingClaims = {
  /** A claim of the channel has failed. */
  failed(channelId: Hex): Promise<void>
  /** A claim of it was sent anew, or was paid. */
  forget(channelId: Hex): void
  /** Whether there are any. Never throws; asks the ledger for one of them at most every second, and once for each that was paid. */
  any(): Promise<boolean>
}

/** More than that needn't be known, to know that some fail. */
const most = 1_000
const keptMs = 1_000

export function createFailingClaims(ledger: Pick<Ledger, 'get'>): FailingClaims {
  /** What was claimed of each before its claim failed. Base units. */
  const failing = new Map<Hex, bigint>()

  /** Somebody else may have claimed it, or its consumer closed it. */
  async function isOwing(channelId: Hex, before: bigint): Promise<boolean> {
    const state = await ledger.get(channelId)
    if (!state || state.status === 'closed') return false
    return state.charged > state.claimed && state.claimed <= before
  }

  async function find(): Promise<boolean> {
    for (const [channelId, before] of [...failing]) {
      // Of a ledger that can't be read it is not said that all is well.
      if (await isOwing(channelId, before).catch(() => true)) return true
      if (failing.get(channelId) === before) failing.delete(channelId)
    }
    return false
  }

  let any = remembered(keptMs, find)

  return {
    async failed(channelId) {
      const state = await ledger.get(channelId).catch(() => undefined)
      if (!state) return
      failing.delete(channelId) // the latest are kept
      failing.set(channelId, state.claimed)
      any = remembered(keptMs, find)
      const [oldest] = failing.keys()
      if (oldest && failing.size > most) failing.delete(oldest)
    },
    forget(channelId) {
      if (failing.delete(channelId)) any = remembered(keptMs, find)
    },
    any: () => any(),
  }
}
