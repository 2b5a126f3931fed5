import { UntrustedProviderError } from '@drain/core'
import type { ChannelBook, Slip } from './ChannelBook.ts'
import type { ChannelOpener, Need } from './ChannelOpener.ts'
import { unlessAborted } from './delay.ts'

/**
 * A place for a request; opens a channel where there is none with room.
 *
 * @throws {LimitExceededError} The limits leave no room for a channel.
 * @throws {UntrustedProviderError} An opening in advance has found that one of the provider's channels cost more than was charged.
 * @throws What the opening throws, or the reason of `signal`: an opening that has begun goes on, and is there for the next request.
 */
export type Take = (need: Need, signal?: AbortSignal | undefined) => Promise<Slip>

/** @param loadOpener Called only when a channel is to be opened: most requests find one. */
export function createTake(
  channels: ChannelBook,
  loadOpener: () => Promise<Pick<ChannelOpener, 'openFor' | 'prepare'>>,
): Take {
  /** What openings in advance have found out, by origin: the next request is told. */
  const found = new Map<string, UntrustedProviderError>()
  async function prepare(need: Need): Promise<void> {
    try {
      await (await loadOpener()).prepare(need)
    } catch (error) {
      // For what else fails, a later request asks again.
      if (error instanceof UntrustedProviderError) found.set(need.origin, error)
    }
  }
  return async (need, signal) => {
    for (;;) {
      signal?.throwIfAborted()
      const error = found.get(need.origin)
      if (found.delete(need.origin)) throw error
      const taken = await channels.take(need.origin, need.quote)
      if (taken?.isRunningLow) prepare(need)
      if (taken) return taken.slip
      const opener = await loadOpener()
      await unlessAborted(opener.openFor(need), signal)
    }
  }
}
