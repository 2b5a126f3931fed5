import { type Deployment, DrainError, Usdc } from '@drain/core'
import type { Hex, TransactionReceipt } from 'viem'
import type { Ledger } from '../ledger/Ledger.ts'
import type { Entry } from '../settle/Journal.ts'
import { hasClosed, paidBy } from '../settle/receipts.ts'
import type { Claimed, Claims, Settlement } from '../settle/Settlement.ts'
import { createFailingClaims } from './failingClaims.ts'
import type { Logger } from './Log.ts'
import type { Metrics } from './Metrics.ts'

export type ObservedSettlement = {
  settlement: Settlement
  /** Takes what became of a transaction that this process has booked: there it is counted, whoever has sent it or waits for it. */
  settled(entry: Entry, receipt: TransactionReceipt | undefined): void
  /** Whether some channel's latest claim failed, and the ledger still shows that it owes what was not claimed. Never throws. */
  isFailing(): Promise<boolean>
}

/** A settlement that counts and tells what its claims and closes came to. */
export function observeSettlement(
  settlement: Settlement,
  options: {
    deployment: Deployment.Deployment
    ledger: Pick<Ledger, 'get'>
    metrics: Pick<Metrics, 'claims'>
    logger: Logger
  },
): ObservedSettlement {
  const { deployment, ledger, metrics, logger } = options
  const failing = createFailingClaims(ledger)

  function paid({ channelId, amount, txHash }: Claimed): void {
    failing.forget(channelId)
    logger.info('claimed', { channelId, amount: Usdc.display(amount), txHash })
  }

  async function failed(channelId: Hex, code: string): Promise<void> {
    // A transaction is counted when it is booked.
    if (code !== 'transaction_reverted') metrics.claims('failed')
    await failing.failed(channelId)
  }

  async function counted(claims: Promise<Claims>): Promise<Claims> {
    const result = await claims
    for (const claim of result.claimed) paid(claim)
    for (const channelId of result.pending) failing.forget(channelId)
    for (const { channelId, code } of result.failed) {
      await failed(channelId, code)
      logger.warn('a claim failed', { channelId, code })
    }
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
        const code = error instanceof DrainError ? error.code : 'unavailable'
        if (code === 'claim_pending') failing.forget(channelId)
        else await failed(channelId, code)
        throw error
      }
    },
    claimMany: (states, options) => counted(settlement.claimMany(states, options)),
    claimAgain: (channelIds) => counted(settlement.claimAgain(channelIds)),
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

  return {
    settlement: observed,
    settled({ takes }, receipt) {
      const payments = receipt && paidBy(receipt, deployment)
      for (const { channelId } of takes) {
        const payment = payments?.get(channelId)
        if (payment || (receipt && hasClosed(receipt, deployment, channelId))) {
          failing.forget(channelId)
          if (payment) metrics.claims('paid', payment.amount)
        } else {
          metrics.claims('failed')
          void failing.failed(channelId)
        }
      }
    },
    isFailing: failing.any,
  }
}
