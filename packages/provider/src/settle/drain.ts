import { Deployment } from '@drain/core'
import type { Hex } from 'viem'
import type { ChannelFacts, Ledger } from '../ledger/Ledger.ts'

/** Work on a channel that can be told to end. */
export type RunningWork = { abort(): void; readonly settled: Promise<unknown> }

/**
 * Freezes a channel and lets what runs on it come to its end, here or in another process. Resolves with whether nothing is
 * reserved any more and the final amount is fixed; `false` after `patienceMs`.
 */
export type Drain = (channel: ChannelFacts, patienceMs: number) => Promise<boolean>

export function createDrain(options: {
  deployment: Deployment.Deployment
  ledger: Pick<Ledger, 'freeze' | 'finalize'>
  /** What runs on a channel in this process. */
  running?: ((channelId: Hex) => Iterable<RunningWork>) | undefined
}): Drain {
  const { deployment, ledger, running = () => [] } = options

  /**
   * Where only the whole signed amount can be claimed, the final amount stays open: a consumer that asks for the close and
   * then doesn't send it must not keep what it owes. What it is signed stays the same, since nothing is charged any more.
   */
  async function isDrained(channel: ChannelFacts): Promise<boolean> {
    if (Deployment.has(deployment, 'claimAndClose')) return (await ledger.finalize(channel.channelId)).ok
    return (await ledger.freeze(channel)).reserved === 0n
  }

  return async (channel, patienceMs) => {
    await ledger.freeze(channel)
    for (const work of running(channel.channelId)) work.abort()
    const deadline = Date.now() + patienceMs
    while (!(await isDrained(channel))) {
      if (Date.now() > deadline) return false
      const here = Array.from(running(channel.channelId), (work) => work.settled)
      await Promise.race([here.length > 0 ? Promise.allSettled(here) : wait(100), wait(500)])
    }
    return true
  }
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
