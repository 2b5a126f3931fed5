import type { Paywall } from '@drain/provider'
import type { Hex } from 'viem'

export type OpenPatienceInput = {
  /**
   * How long a request that brings a new channel waits for its opening to be confirmed, in milliseconds; it is refused after
   * that, and may come again. Default 15,000.
   */
  openPatienceMs?: number | undefined
}

const defaultPatienceMs = 15_000
/** About as often as the chain is asked about a channel that isn't there yet. */
const pollMs = 500

/** Waits for a channel whose opening is mined, and not deep enough yet; for no other. */
export async function awaitConfirmed(
  { lookUp }: Pick<Paywall, 'lookUp'>,
  channelId: Hex,
  { openPatienceMs = defaultPatienceMs }: OpenPatienceInput,
): Promise<void> {
  const end = performance.now() + openPatienceMs
  for (;;) {
    const found = await lookUp(channelId)
    if (!('rejection' in found && found.rejection.isPassing)) return
    if (performance.now() + pollMs > end) return
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
}
