import type { Hex } from 'viem'

/** A stream that waits for a voucher. Base units. */
export type Place = {
  /** What is missing for its next event. */
  missing: bigint
  /** What it asks for: `missing`, and its next step with it. */
  asked: bigint
  /** Called when there may be something for it. */
  ring(): void
}

/** The streams of this process that wait for vouchers, first come first served on each channel. */
export type WaitingLines = {
  join(channelId: Hex, place: Place): void
  /** The next in line is told. */
  leave(channelId: Hex, place: Place): void
  /** Something on the channel was raised or given back: tells the first in line. */
  wake(channelId: Hex): void
  isEmpty(channelId: Hex): boolean
  /** How many wait, on all channels. */
  readonly size: number
  isFirst(channelId: Hex, place: Place): boolean
  /** What those in front of it miss. */
  missingBefore(channelId: Hex, place: Place): bigint
  /** What all of the line ask for together. */
  asked(channelId: Hex): bigint
}

export function createWaitingLines(): WaitingLines {
  const lines = new Map<Hex, Place[]>()
  const lineOf = (channelId: Hex): readonly Place[] => lines.get(channelId) ?? []

  function wake(channelId: Hex): void {
    lines.get(channelId)?.[0]?.ring()
  }

  return {
    wake,
    join(channelId, place) {
      const line = lines.get(channelId)
      if (line) line.push(place)
      else lines.set(channelId, [place])
    },
    leave(channelId, place) {
      const rest = lineOf(channelId).filter((other) => other !== place)
      if (rest.length > 0) lines.set(channelId, rest)
      else lines.delete(channelId)
      wake(channelId)
    },
    isEmpty: (channelId) => !lines.has(channelId),
    get size() {
      return [...lines.values()].reduce((sum, line) => sum + line.length, 0)
    },
    isFirst: (channelId, place) => lineOf(channelId)[0] === place,
    missingBefore(channelId, place) {
      const line = lineOf(channelId)
      return line.slice(0, line.indexOf(place)).reduce((sum, { missing }) => sum + missing, 0n)
    },
    asked: (channelId) => lineOf(channelId).reduce((sum, { asked }) => sum + asked, 0n),
  }
}
