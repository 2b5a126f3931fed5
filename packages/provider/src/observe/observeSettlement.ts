import { Usdc } from '@drain/core'
import type { Claimed, Settlement } from '../settle/Settlement.ts'
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

  async function claimed(claim: Promise<Claimed | undefined>): Promise<Claimed | undefined> {
    try {
      const result = await claim
      if (result) paid(result)
      else metrics.claims('nothing')
      return result
    } catch (error) {
      isFailing = true
      metrics.claims('failed')
      throw error
    }
  }

  const observed: Settlement = {
    ...settlement,
    claim: (channelId, options) => claimed(settlement.claim(channelId, options)),
    claimSigned: (channelId) => claimed(settlement.claimSigned(channelId)),
    async claimAll(threshold) {
      const claims = await settlement.claimAll(threshold)
      for (const claim of claims.claimed) paid(claim)
      for (const { channelId, code } of claims.failed) {
        isFailing = true
        metrics.claims('failed')
        logger.warn('a claim failed', { channelId, code })
      }
      return claims
    },
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
