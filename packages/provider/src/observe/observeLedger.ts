import { LedgerUnavailableError } from '../ledger/Errors.ts'
import type { Ledger, ReservationId } from '../ledger/Ledger.ts'
import type { Logger } from './Log.ts'
import type { Metrics } from './Metrics.ts'

/** How the store did the last time it had to write. */
export type LastWrite = { succeeded: boolean /** By `performance.now()`. */; at: number }

/** Reservations that were captured in part; more than this run at once nowhere. */
const rememberedStreams = 100_000

/** A ledger that times its durable steps and counts what it charges. Answers are passed on as they are. */
export function observeLedger(
  ledger: Ledger,
  metrics: Pick<Metrics, 'ledgerStep' | 'charged'>,
  logger: Logger,
): { ledger: Ledger; lastWrite: () => LastWrite | undefined } {
  let lastWrite: LastWrite | undefined
  /** A stream captures what it cost so far in all; what is new of it is counted. */
  const capturedBefore = new Map<ReservationId, bigint>()

  async function timed<result>(step: string, work: Promise<result>): Promise<result> {
    const startedAt = performance.now()
    let succeeded = true
    try {
      return await work
    } catch (error) {
      // Other errors are someone's misuse of a ledger that works.
      succeeded = !(error instanceof LedgerUnavailableError)
      throw error
    } finally {
      const at = performance.now()
      metrics.ledgerStep(step, (at - startedAt) / 1_000, succeeded)
      lastWrite = { succeeded, at }
    }
  }

  const observed: Ledger = {
    reserve: (request) => timed('reserve', ledger.reserve(request)),
    raise: (request) => timed('raise', ledger.raise(request)),
    extend: (id, by) => timed('extend', ledger.extend(id, by)),
    renew: (id, leaseMs) => timed('renew', ledger.renew(id, leaseMs)),
    async capture(id, actual, options) {
      const result = await timed('capture', ledger.capture(id, actual, options))
      const before = capturedBefore.get(id) ?? 0n
      if (result.ok) {
        metrics.charged(result.captured - before)
        logger.debug('charged', { channelId: result.state.channelId, cost: result.captured - before })
      }
      capturedBefore.delete(id)
      if (options?.final === false && result.ok) {
        capturedBefore.set(id, result.captured)
        const [oldest] = capturedBefore.keys()
        if (oldest && capturedBefore.size > rememberedStreams) capturedBefore.delete(oldest)
      }
      return result
    },
    outcome: (channelId, keyId) => ledger.outcome(channelId, keyId),
    release(id) {
      capturedBefore.delete(id)
      return timed('release', ledger.release(id))
    },
    freeze: (channel) => timed('freeze', ledger.freeze(channel)),
    finalize: (channelId) => timed('finalize', ledger.finalize(channelId)),
    beginClaim: (channelId, amount) => timed('beginClaim', ledger.beginClaim(channelId, amount)),
    endClaim: (channel, receipt) => timed('endClaim', ledger.endClaim(channel, receipt)),
    async recordClaimed(channel) {
      const state = await timed('recordClaimed', ledger.recordClaimed(channel))
      const { channelId, alarm, charged, claimed } = state
      if (alarm) logger.error('more was claimed than this ledger charged', { channelId, charged, claimed })
      return state
    },
    markClosed: (channelId) => timed('markClosed', ledger.markClosed(channelId)),
    get: (channelId) => ledger.get(channelId),
    glance: (channelId) => ledger.glance(channelId),
    channels: (filter) => ledger.channels(filter),
    totals: () => ledger.totals(),
    days: (range) => ledger.days(range),
    claims: (range) => ledger.claims(range),
    notebook: {
      write: (key, decide) => timed('note', ledger.notebook.write(key, decide)),
      read: (prefix, options) => ledger.notebook.read(prefix, options),
    },
    prune: () => timed('prune', ledger.prune()),
    ready: () => ledger.ready(),
    close: () => ledger.close(),
  }
  return { ledger: observed, lastWrite: () => lastWrite }
}
