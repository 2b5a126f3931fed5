import { Usdc } from '@drain/core'
import type { Claimed, Claims, Settlement } from '../settle/Settlement.ts'
import type { Logger } from './Log.ts'
import type { Metrics } from './Metrics.ts'

/** A settlement that counts and tells what its claims and closes came to. */
export function observeSettlement(
  settlement: Settlement,
  metrics: Pick<Metrics, 'claims'>,
  logger: Logger,
): { settlement: Settlement; isFailing: () => boolean } {
  let isFailing = false

  function paid({ channelId, amount, txHash }: Claimed): void {
    isFailing = false
    metrics.claims('paid', amount)
    logger.info('claimed', { channelId, amount: Usdc.display(amount), txHash })
  }

  function count({ claimed, failed }: Claims): void {
    for (const claim of claimed) paid(claim)
    // Also when there was nothing to claim: another process may have claimed what failed here.
    isFailing = failed.length > 0
    for (const { channelId, code } of failed) {
      metrics.claims('failed')
      logger.warn('a claim failed', { channelId, code })
    }
  }

  async function counted(claims: Promise<Claims>): Promise<Claims> {
    const result = await claims
    count(result)
    return result
  }

  const observed: Settlement = {
    ...settlement,
    async claim(channelId, options) {
      try {
        const result = await settlement.claim(channelId, options)
        if (result) paid(result)
        else metrics.claims('nothing')
        return result
      } catch (error) {
        isFailing = true
        metrics.claims('failed')
        throw error
      }
    },
    claimMany: (states, options) => counted(settlement.claimMany(states, options)),
    async claimAgain(channelIds) {
      const claims = await settlement.claimAgain(channelIds)
      // Of these alone it says nothing about the others.
      if (claims.failed.length > 0) count(claims)
      else for (const claim of claims.claimed) paid(claim)
      return claims
    },
    claimAll: (threshold) => counted(settlement.claimAll(threshold)),
    async close(channelId) {
      const closing = await settlement.close(channelId)
      const { finalAmount, txHash } = closing
      logger.info(txHash ? 'closed a channel' : 'signed the close of a channel', {
        channelId,
        finalAmount: Usdc.display(finalAmount),
        txHash,
      })
      return closing
    },
  }
  return { settlement: observed, isFailing: () => isFailing }
}
