/** Whether a provider can do its work: store, chain, claims. */
import { Channel } from '@drain/core'
import type { Ledger } from '../ledger/Ledger.ts'
import type { Settler } from '../settle/Settler.ts'
import type { ChainCheck, ChainProblem } from './ChainCheck.ts'
import type { Following } from './Following.ts'
import type { LastWrite } from './observeLedger.ts'
import { remembered } from './remembered.ts'
import type { SettlementFigures } from './settlementFigures.ts'

/** Why a provider is not well. Codes without amounts, channels or texts of others: the answer is public. */
export type HealthReason =
  | ChainProblem
  /** It is shutting down. */
  | 'closing'
  /** The ledger cannot be read. */
  | 'store_unreadable'
  /** The ledger's latest write failed, less than half a minute ago. */
  | 'store_unwritable'
  /** For over a minute nobody has got on with reading the chain's events: claims, closes and reorganisations go unseen. */
  | 'not_followed'
  /** The latest claim of some channel failed, and it still owes what was to be claimed. Another is tried. */
  | 'claims_failing'
  /** Gas costs more than may be paid for it, so transactions wait. */
  | 'gas_price'
  /** The account has too little of the chain's own coin. */
  | 'no_gas'
  /** A transaction isn't mined, though more was paid for it. */
  | 'stuck'
  /** What a transaction was to bring about is there, and its receipt isn't. */
  | 'no_receipt'
  /** For a minute its transactions could not be looked after: the log says why. */
  | 'not_settling'
  /** Channels are close to their expiry, or past it, and what they owe was not claimed in the rounds before. */
  | 'claims_overdue'
  /** Something happened that somebody has to look at: `drain-provider status` tells. */
  | 'alarms'

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

export function createHealth(provider: {
  ledger: Pick<Ledger, 'get'>
  lastWrite: () => LastWrite | undefined
  chain: Pick<ChainCheck, 'problem' | 'watch'>
  /** What keeps claims from being paid. */
  settlementProblem: Settler['problem']
  following: Pick<Following, 'isLost' | 'watch'>
  isClosing: () => boolean
  figures: Pick<SettlementFigures, 'outlook' | 'alarms'>
}): Health {
  const { ledger, lastWrite, chain, settlementProblem, following, isClosing, figures } = provider

  const canRead = remembered(readForMs, async () => {
    try {
      await ledger.get(Channel.zeroId)
      return true
    } catch {
      return false
    }
  })

  async function storeProblem(): Promise<HealthReason | undefined> {
    const last = lastWrite()
    if (last && !last.succeeded && performance.now() - last.at < retryAfterMs) return 'store_unwritable'
    return (await canRead()) ? undefined : 'store_unreadable'
  }

  return {
    async report() {
      chain.watch()
      following.watch()
      if (isClosing()) return { status: 'unavailable', reasons: ['closing'] }
      const [store, node, isLost, problem, outlook, alarms] = await Promise.all([
        storeProblem(),
        chain.problem(),
        following.isLost(),
        settlementProblem(),
        figures.outlook(),
        figures.alarms(),
      ])
      const severe = [store, node].filter((reason) => reason !== undefined)
      const others: HealthReason[] = []
      // Of a node that is away, or another one, that is told already.
      if (isLost && !node) others.push('not_followed')
      if (problem) others.push(problem)
      if (outlook && outlook.atRisk > 0n) others.push('claims_overdue')
      if (alarms && alarms.size > 0) others.push('alarms')
      const status = severe.length > 0 ? 'unavailable' : others.length > 0 ? 'degraded' : 'ok'
      return { status, reasons: [...severe, ...others] }
    },
  }
}
