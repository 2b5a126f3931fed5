/**
 * A map that never holds more than `limit` entries, and forgets those that were not used lately.
 *
 * Who comes once is a visitor, and soon forgotten; who comes again while his name is remembered becomes a regular. So a
 * million keys that are used once each don't drive out those in daily use, and their values die young: to keep each for as
 * long as the limit allows costs the garbage collector more than it saves.
 */
export class RecentMap<key, value> {
  readonly #visitors: Halves<key, value>
  readonly #regulars: Halves<key, value>
  /** Visitors whose values are gone. */
  readonly #names: Halves<key, true>

  /** `limit`: at least 4. */
  constructor(limit: number) {
    const visitors = Math.min(512, Math.floor(limit / 2))
    this.#visitors = new Halves(visitors, (gone) => {
      for (const name of gone) this.#names.set(name, true)
    })
    this.#regulars = new Halves(limit - visitors)
    this.#names = new Halves(limit)
  }

  get size(): number {
    return this.#visitors.size + this.#regulars.size
  }

  get(key: key): value | undefined {
    return this.#regulars.get(key) ?? this.#visitors.get(key)
  }

  set(key: key, value: value): void {
    if (this.#visitors.replace(key, value) || this.#regulars.replace(key, value)) return
    if (this.#names.delete(key)) this.#regulars.set(key, value)
    else this.#visitors.set(key, value)
  }

  delete(key: key): void {
    this.#visitors.delete(key)
    this.#regulars.delete(key)
  }

  clear(): void {
    this.#visitors.clear()
    this.#regulars.clear()
  }
}

/**
 * At most `limit` entries in two halves: what was used since the last turn, and what was used in the turn before. When the
 * first is full, the second goes. That is nearly the order of use, and there is no list to keep.
 */
class Halves<key, value> {
  readonly #half: number
  readonly #gone: ((keys: Iterable<key>) => void) | undefined
  #young = new Map<key, value>()
  #old = new Map<key, value>()

  constructor(limit: number, gone?: (keys: Iterable<key>) => void) {
    this.#half = Math.max(1, Math.floor(limit / 2))
    this.#gone = gone
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(key: key): value | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old !== undefined) this.set(key, old)
    return old
  }

  /** Sets the value of a key that is there, and says whether it was. */
  replace(key: key, value: value): boolean {
    if (!this.#young.has(key) && !this.#old.has(key)) return false
    this.set(key, value)
    return true
  }

  set(key: key, value: value): void {
    this.#old.delete(key)
    this.#young.set(key, value)
    if (this.#young.size < this.#half) return
    const gone = this.#old
    this.#old = this.#young
    this.#young = new Map()
    this.#gone?.(gone.keys())
  }

  delete(key: key): boolean {
    return this.#young.delete(key) || this.#old.delete(key)
  }

  clear(): void {
    this.#young.clear()
    this.#old.clear()
  }
}
