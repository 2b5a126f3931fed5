import type { ChannelBook, Slip } from './ChannelBook.ts'
import type { ChannelOpener, Need } from './ChannelOpener.ts'
import { unlessAborted } from './delay.ts'

/**
 * A place for a request; opens a channel where there is none with room.
 *
 * @throws {LimitExceededError} The limits leave no room for a channel.
 * @throws What the opening throws, or the reason of `signal`: an opening that has begun goes on, and is there for the next request.
 */
export type Take = (need: Need, signal?: AbortSignal | undefined) => Promise<Slip>

/** @param loadOpener Called only when a channel is to be opened: most requests find one. */
export function createTake(
  channels: ChannelBook,
  loadOpener: () => Promise<Pick<ChannelOpener, 'openFor' | 'prepare'>>,
): Take {
  const prepare = async (need: Need) => (await loadOpener()).prepare(need)
  return async (need, signal) => {
    for (;;) {
      signal?.throwIfAborted()
      const taken = await channels.take(need.origin, need.quote)
      // Where the opener doesn't load now, a later request asks for it again.
      if (taken?.isRunningLow) prepare(need).catch(() => {})
      if (taken) return taken.slip
      const opener = await loadOpener()
      await unlessAborted(opener.openFor(need), signal)
    }
  }
}
