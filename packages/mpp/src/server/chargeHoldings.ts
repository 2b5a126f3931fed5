/**
 * What the charges at work will take from each payer: a balance that covers one of them must not let in many at once, all of which
 * but one would be worked for in vain. Counted in memory, for this process.
 */
import type { Address } from 'viem'
import type { Authorization } from '../authorization.ts'

export type Hold = {
  /** Base units that this payer's other charges hold. */
  readonly others: bigint
  /** It goes on until `end`. */
  keep(): void
  endUnlessKept(): void
  end(): void
}

export function createHoldings(): { hold(authorization: Authorization): Hold } {
  const held = new Map<Address, bigint>()
  return {
    hold({ from, value }) {
      const others = held.get(from) ?? 0n
      held.set(from, others + value)
      let isKept = false
      let isOver = false
      function end(): void {
        if (isOver) return
        isOver = true
        const rest = (held.get(from) ?? 0n) - value
        if (rest > 0n) held.set(from, rest)
        else held.delete(from)
      }
      return {
        others,
        keep() {
          isKept = true
        },
        endUnlessKept() {
          if (!isKept) end()
        },
        end,
      }
    },
  }
}
