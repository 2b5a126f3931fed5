/** How much a network may ask for in a time. */

export type RateLimit = {
  /** Takes `cost` of a network's budget. Seconds to wait where it is used up, 0 otherwise. */
  take(network: string, cost: number): number
}

/** Networks that are counted one by one; those beyond share one budget of so many times as much. */
const mostNetworks = 50_000
const sharedBudget = 100

/** @param window Milliseconds; a minute by default. */
export function createRateLimit(most: number, now: () => number, window = 60_000): RateLimit {
  let startedAt = Math.floor(now() / window) * window
  let used = new Map<string, number>()
  let shared = 0

  return {
    take(network, cost) {
      const time = now()
      if (time - startedAt >= window || time < startedAt) {
        startedAt = Math.floor(time / window) * window
        used = new Map()
        shared = 0
      }
      const before = used.get(network)
      const isShared = before === undefined && used.size >= mostNetworks
      const sum = (isShared ? shared : (before ?? 0)) + cost
      if (sum > (isShared ? most * sharedBudget : most)) return Math.ceil((startedAt + window - time) / 1_000)
      if (isShared) shared = sum
      else used.set(network, sum)
      return 0
    },
  }
}
