/** Claims what channels owe while they run, and at the latest before they expire: after that, nothing can be claimed. */
import { type Paywall, Usdc } from '@drain-protocol/sdk'
import type { Config } from './config.ts'

/** Seconds before its expiry from which a channel is claimed whatever it owes: rounds may be missed, and nodes be down. */
const headroom = 3n * 3_600n

/**
 * One round: claims every channel that owes the threshold or more, and every one that expires soon and owes more than a
 * transaction is worth. A channel that fails does not stop the others.
 */
export async function claimDue(
  paywall: Paywall,
  config: Config,
  log: (message: string) => void,
): Promise<void> {
  const minPayout = Usdc.parse(config.minPayout)
  for await (const channel of paywall.ledger.channels({ unclaimedOver: 0n })) {
    const owed = channel.charged - channel.claimed
    const isExpiring = channel.expiry - paywall.now() < headroom
    if (channel.status === 'closed' || owed < (isExpiring ? minPayout : config.claims.threshold)) continue
    try {
      const claimed = await paywall.settlement.claim(channel.channelId)
      if (claimed)
        log(`claimed ${Usdc.display(claimed.amount)} from channel ${claimed.channelId} (${claimed.txHash})`)
    } catch (error) {
      log(
        `could not claim from channel ${channel.channelId}: ${error instanceof Error ? error.message : 'unknown'}`,
      )
    }
  }
}

/** Runs a round now and then until stopped; `stop` waits for the one that runs. */
export function startClaims(
  paywall: Paywall,
  config: Config,
  log: (message: string) => void,
): { stop(): Promise<void> } {
  const { intervalMs } = config.claims
  let running: Promise<void> = Promise.resolve()
  const round = () => {
    running = running
      .then(() => claimDue(paywall, config, log))
      .catch((error) => log(`could not claim: ${error instanceof Error ? error.message : 'unknown'}`))
  }
  const timer = intervalMs > 0 ? setInterval(round, intervalMs) : undefined
  timer?.unref()
  return {
    stop() {
      clearInterval(timer)
      return running
    },
  }
}
