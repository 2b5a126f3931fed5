import { Usdc } from '@drain/core'
import { type ChannelBook, expiryMargin } from './ChannelBook.ts'
import type { Events } from './events.ts'
import * as Tally from './Tally.ts'

/** Timers count up to 2^31 − 1 milliseconds. */
const longest = 2 ** 31 - 1

/**
 * Tells when a channel with something left in it comes near its expiry: twice as long before it as providers stop serving it.
 * Once per channel and process; keeps no process alive.
 */
export function watchExpiry(options: {
  book: Pick<ChannelBook, 'list'>
  events: Events
  /** Unix milliseconds. */
  now: () => number
}) {
  const { book, events, now } = options
  const told = new Set<string>()
  let timer: ReturnType<typeof setTimeout> | undefined

  function look(): void {
    clearTimeout(timer)
    let next = longest
    for (const { channelId, origin, state, tally, expiry, duration } of book.list()) {
      const left = Tally.remaining(tally)
      if (state === 'closed' || left <= 0n || told.has(channelId)) continue
      const wait = Number(expiry - 2n * expiryMargin(duration)) * 1_000 - now()
      if (wait > 0) {
        next = Math.min(next, wait)
        continue
      }
      told.add(channelId)
      events.emit('expiring', { channelId, origin, remaining: Usdc.format(left), expiry })
    }
    timer = setTimeout(look, next)
    if (typeof timer === 'object') timer.unref()
  }

  return { look, stop: () => clearTimeout(timer) }
}
