/** Claims what channels owe while they run, and ends them before they expire: after that, nothing can be claimed. */
import { type Paywall, Terms, Usdc } from '@drain-protocol/sdk'
import type { Config } from './config.ts'

/** How many rounds may be missed before an expiry. */
const spareRounds = 3n

/**
 * One round: claims every channel that owes the threshold or more, and settles every one that is no longer served because
 * it is about to expire. A claim takes what a voucher of at most the charged amount allows; only the settlement takes the
 * rest. A channel that fails does not stop the others.
 */
export async function claimDue(
  paywall: Paywall,
  config: Pick<Config, 'claims'>,
  log: (message: string) => void,
): Promise<void> {
  const spare = (BigInt(config.claims.intervalMs) / 1_000n) * spareRounds
  for await (const channel of paywall.ledger.channels({ unclaimedOver: 0n })) {
    const { channelId, status, expiry, firstSeen } = channel
    if (status === 'closed') continue
    const onChain = { ...channel, id: channelId }
    const margin = Terms.expiryMargin(onChain, firstSeen)
    const isExpiring = paywall.now() >= expiry - (margin > spare ? margin : spare)
    try {
      if (isExpiring) {
        const closing = await paywall.closeChannel(onChain)
        if ('rejection' in closing) log(`could not settle channel ${channelId}: ${closing.rejection.code}`)
        else if (closing.txHash)
          log(`settled channel ${channelId} at ${Usdc.display(closing.finalAmount)} (${closing.txHash})`)
      } else if (channel.charged - channel.claimed >= config.claims.threshold) {
        const claimed = await paywall.settlement.claim(channelId)
        if (claimed)
          log(`claimed ${Usdc.display(claimed.amount)} from channel ${channelId} (${claimed.txHash})`)
      }
    } catch (error) {
      log(`could not claim from channel ${channelId}: ${error instanceof Error ? error.message : 'unknown'}`)
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
