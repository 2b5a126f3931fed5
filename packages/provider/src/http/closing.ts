/** How a channel ends: it is frozen, what runs on it comes to its end, and it is settled. */
import { type Channel, Deployment, type Rejection } from '@drain/core'
import type { Hex } from 'viem'
import type { ChannelFacts, Ledger } from '../ledger/Ledger.ts'
import type { Closing, Settlement } from '../settle/Settlement.ts'
import type { RunningPayments } from './RunningPayments.ts'

/** How a channel was closed, or why it isn't yet. */
export type CloseResult = Closing | { rejection: Rejection.Rejection }

/** How long a close request waits for the requests that run on its channel. */
const drainMs = 20_000

/**
 * Freezes a channel, waits for what runs on it (at most `patienceMs`), and settles it. Concurrent calls share one attempt.
 */
export function createChannelCloser(options: {
  deployment: Deployment.Deployment
  ledger: Ledger
  settlement: Settlement
  running: RunningPayments
}): (channel: Channel.Channel, patienceMs?: number) => Promise<CloseResult> {
  const { deployment, ledger, settlement, running } = options
  const attempts = new Map<Hex, Promise<CloseResult>>()

  async function freezeAndSettle(channel: ChannelFacts, patienceMs: number): Promise<CloseResult> {
    await ledger.freeze(channel)
    for (const payment of running.on(channel.channelId)) payment.abort()
    if (await untilDrained(channel, patienceMs)) return settlement.close(channel.channelId)
    const message = 'The channel is frozen, but requests still run on it. Ask again in a moment.'
    return { rejection: { code: 'unavailable', message } }
  }

  /** Waits until nothing is reserved, here or in another process, and the final amount is fixed. */
  async function untilDrained(channel: ChannelFacts, patienceMs: number): Promise<boolean> {
    const deadline = Date.now() + patienceMs
    while (!(await isDrained(channel))) {
      if (Date.now() > deadline) return false
      const here = Array.from(running.on(channel.channelId), (payment) => payment.settled)
      await Promise.race([here.length > 0 ? Promise.allSettled(here) : wait(100), wait(500)])
    }
    return true
  }

  /**
   * Where only the whole signed amount can be claimed, the final amount stays open: a consumer that asks for the close and
   * then doesn't send it must not keep what it owes. What it is signed stays the same, since nothing is charged any more.
   */
  async function isDrained(channel: ChannelFacts): Promise<boolean> {
    if (Deployment.has(deployment, 'claimAndClose')) return (await ledger.finalize(channel.channelId)).ok
    return (await ledger.freeze(channel)).reserved === 0n
  }

  return (channel, patienceMs = drainMs) => {
    const under = attempts.get(channel.id)
    if (under) return under
    const attempt = freezeAndSettle({ ...channel, channelId: channel.id }, patienceMs).finally(() =>
      attempts.delete(channel.id),
    )
    attempts.set(channel.id, attempt)
    return attempt
  }
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
