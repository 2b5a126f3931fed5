/** Whether a provider can do its work: store, chain, claims. */
import { Channel } from '@drain/core'
import type { Ledger } from '../ledger/Ledger.ts'
import * as Terms from '../verify/Terms.ts'
import type { ChainCheck, ChainProblem } from './ChainCheck.ts'
import type { LastWrite } from './observeLedger.ts'
import { remembered } from './remembered.ts'

/** Why a provider is not well. Codes without amounts, channels or texts of others: the answer is public. */
export type HealthReason =
  | ChainProblem
  /** It is shutting down. */
  | 'closing'
  /** The ledger cannot be read. */
  | 'store_unreadable'
  /** The ledger's latest write failed, less than half a minute ago. */
  | 'store_unwritable'
  /** The latest claim failed; another is tried with the next round. */
  | 'claims_failing'
  /** Channels are close to their expiry, or past it, and what they owe was not claimed in the rounds before. */
  | 'claims_overdue'

/**
 * `degraded`: serves, but somebody should look, since money is at stake. `unavailable`: does not serve, or would not be paid
 * for it; send requests elsewhere.
 */
export type HealthReport = { status: 'ok' | 'degraded' | 'unavailable'; reasons: HealthReason[] }

export type Health = {
  /** Cheap: what takes time was found out before, or is shared by everybody who asks. Never throws. */
  report(): Promise<HealthReport>
}

/** A store that failed is asked to write again by requests; after this long they are let through to try. */
const retryAfterMs = 30_000
const readForMs = 1_000
const overdueForMs = 30_000

export function createHealth(provider: {
  ledger: Pick<Ledger, 'get' | 'channels'>
  lastWrite: () => LastWrite | undefined
  chain: Pick<ChainCheck, 'problem' | 'watch'>
  /** Whether the latest claim failed. */
  isClaimFailing: () => boolean
  isClosing: () => boolean
  /** Base units: less than this is not worth a claim. */
  minPayout: bigint
  /** Unix seconds. */
  now: () => bigint
}): Health {
  const { ledger, lastWrite, chain, isClaimFailing, isClosing, minPayout, now } = provider

  const canRead = remembered(readForMs, async () => {
    try {
      await ledger.get(Channel.zeroId)
      return true
    } catch {
      return false
    }
  })

  const isOverdue = remembered(overdueForMs, async () => {
    try {
      const unclaimedOver = minPayout > 0n ? minPayout - 1n : 0n
      for await (const state of ledger.channels({ unclaimedOver })) {
        if (state.status === 'closed') continue
        const margin = Terms.expiryMargin({ ...state, id: state.channelId }, state.firstSeen)
        // Three rounds fit into the margin: the first of them has had its turn.
        if (now() >= state.expiry - (margin * 2n) / 3n) return true
      }
    } catch {
      // Told by the store's own check.
    }
    return false
  })

  async function storeProblem(): Promise<HealthReason | undefined> {
    const last = lastWrite()
    if (last && !last.succeeded && performance.now() - last.at < retryAfterMs) return 'store_unwritable'
    return (await canRead()) ? undefined : 'store_unreadable'
  }

  return {
    async report() {
      chain.watch()
      if (isClosing()) return { status: 'unavailable', reasons: ['closing'] }
      const [store, node, overdue] = await Promise.all([storeProblem(), chain.problem(), isOverdue()])
      const severe = [store, node].filter((reason) => reason !== undefined)
      const others: HealthReason[] = []
      if (isClaimFailing()) others.push('claims_failing')
      if (overdue) others.push('claims_overdue')
      const status = severe.length > 0 ? 'unavailable' : others.length > 0 ? 'degraded' : 'ok'
      return { status, reasons: [...severe, ...others] }
    },
  }
}
