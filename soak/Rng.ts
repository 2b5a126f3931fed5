/** Random decisions from a seed. What they lead to depends on the moment, too: a seed repeats the mix, not the run. */
export type Rng = {
  /** In [0, 1). */
  next(): number
  /** A whole number, both ends included. */
  int(from: number, to: number): number
  chance(probability: number): boolean
  pick<item>(items: readonly item[]): item
  /** One of the names, by weight. */
  weighted<name extends string>(weights: Record<name, number>): name
  /** Another source, whose decisions don't depend on how many were made here. */
  fork(name: string): Rng
}

/** Mulberry32. */
export function createRng(seed: number): Rng {
  let state = seed >>> 0
  const rng: Rng = {
    next() {
      state = (state + 0x6d2b79f5) >>> 0
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
    },
    int: (from, to) => from + Math.floor(rng.next() * (to - from + 1)),
    chance: (probability) => rng.next() < probability,
    pick(items) {
      const item = items[rng.int(0, items.length - 1)]
      if (item === undefined) throw new RangeError('There is nothing to pick from.')
      return item
    },
    weighted<name extends string>(weights: Record<name, number>) {
      const entries = Object.entries<number>(weights) as [name, number][]
      let left = rng.next() * entries.reduce((sum, [, weight]) => sum + weight, 0)
      const found = entries.find(([, weight]) => {
        left -= weight
        return left < 0
      })
      return (found ?? rng.pick(entries))[0]
    },
    fork(name) {
      let hash = seed ^ 0x811c9dc5
      for (const character of name) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193)
      return createRng(hash)
    },
  }
  return rng
}
