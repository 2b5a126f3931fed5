/**
 * A map that forgets what was not used lately, so that it never holds more than `limit` entries. It keeps two halves: what
 * was used since the last turn, and what was used in the turn before; when the first is full, the second goes. That is
 * nearly the order of use, and costs no list to keep.
 */
export class RecentMap<key, value> {
  readonly #half: number
  #young = new Map<key, value>()
  #old = new Map<key, value>()

  /** `limit`: at least 2. */
  constructor(limit: number) {
    this.#half = Math.max(1, Math.floor(limit / 2))
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

  set(key: key, value: value): void {
    this.#old.delete(key)
    this.#young.set(key, value)
    if (this.#young.size < this.#half) return
    this.#old = this.#young
    this.#young = new Map()
  }

  delete(key: key): void {
    this.#young.delete(key)
    this.#old.delete(key)
  }

  clear(): void {
    this.#young.clear()
    this.#old.clear()
  }
}
