/** How a channel ends on request: it is frozen, what runs on it comes to its end, and it is settled. */
import { type Channel, DrainError, type Rejection } from '@drain/core'
import type { Hex } from 'viem'
import type { ChannelFacts } from '../ledger/Ledger.ts'
import type { Closing } from '../settle/Closings.ts'
import type { Drain } from '../settle/drain.ts'
import type { Settlement } from '../settle/Settlement.ts'

/** How a channel was closed, or why it isn't yet. */
export type CloseResult = Closing | { rejection: Rejection.Rejection }

/**
 * How long a close request waits for the requests that run on its channel; and after that, in a process without the key, for whoever
 * has it.
 */
export const drainMs = 20_000

/** Drains a channel and settles it. Concurrent calls share one attempt. */
export function createChannelCloser(options: {
  drain: Drain
  settlement: Pick<Settlement, 'close'>
}): (channel: Channel.Channel) => Promise<CloseResult> {
  const { drain, settlement } = options
  const attempts = new Map<Hex, Promise<CloseResult>>()

  async function drainAndSettle(channel: ChannelFacts): Promise<CloseResult> {
    if (!(await drain(channel, drainMs)))
      return later('The channel is frozen, but requests still run on it. Ask again in a moment.')
    try {
      return await settlement.close(channel.channelId)
    } catch (error) {
      if (!(error instanceof DrainError) || error.code !== 'settler_away') throw error
      return later('The channel is frozen, and its end waits to be signed elsewhere. Ask again in a moment.')
    }
  }

  return (channel) => {
    const under = attempts.get(channel.id)
    if (under) return under
    const attempt = drainAndSettle({ ...channel, channelId: channel.id }).finally(() =>
      attempts.delete(channel.id),
    )
    attempts.set(channel.id, attempt)
    return attempt
  }
}

const later = (message: string): CloseResult => ({ rejection: { code: 'unavailable', message } })
