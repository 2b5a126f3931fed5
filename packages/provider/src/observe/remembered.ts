/**
 * An answer that costs the more the larger the store is: kept for `forMs` at least, and for so long that finding it takes at
 * most a hundredth of the time. Concurrent calls share one. `find` must not throw.
 */
export function remembered<answer>(forMs: number, find: () => Promise<answer>): () => Promise<answer> {
  let found: Promise<answer> | undefined
  let until = 0
  return () => {
    const startedAt = performance.now()
    if (found && startedAt < until) return found
    until = Number.POSITIVE_INFINITY // until this answer is there, everybody waits for it
    found = find().finally(() => {
      const at = performance.now()
      until = at + Math.max(forMs, (at - startedAt) * 100)
    })
    return found
  }
}
