/** How many blocks a node is asked for events of at once: public ones refuse long ranges. */
import { ChainUnavailableError } from '../chain/ChannelReader.ts'

export type BlockWindow = {
  /**
   * Reads blocks from one on, as many as the node answers for, and at most until another.
   * @throws {ChainUnavailableError} when it doesn't answer for a single one, or `readRange` throws it
   */
  read<result>(
    from: bigint,
    until: bigint,
    readRange: (from: bigint, to: bigint) => Promise<result>,
  ): Promise<result>
}

/** Blocks that are asked for at once, at most. */
const longest = 1_000n
/** Windows that must have been answered before a longer one is tried. */
const growAfter = 8

export function createBlockWindow(): BlockWindow {
  let window = longest
  let answered = 0

  return {
    async read(from, until, readRange) {
      while (true) {
        const size = window
        const to = min(from + size - 1n, until)
        try {
          const result = await readRange(from, to)
          answered += 1
          if (answered >= growAfter && window < longest) {
            window = min(window * 2n, longest)
            answered = 0
          }
          return result
        } catch (error) {
          answered = 0
          // A node that is away says so when it is asked for a block; then there is nothing to be had by asking for less.
          if (error instanceof ChainUnavailableError) throw error
          if (size === 1n) throw new ChainUnavailableError(error)
          // Others may have found out meanwhile that it takes less.
          window = min(window, max(1n, (to - from + 1n) / 2n))
        }
      }
    },
  }
}

const max = (a: bigint, b: bigint) => (a > b ? a : b)
const min = (a: bigint, b: bigint) => (a < b ? a : b)
