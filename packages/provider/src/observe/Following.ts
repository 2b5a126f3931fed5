/** Whether somebody follows the chain for a ledger: what claims, closes and reorganisations of others are noticed by. */
import type { Ledger } from '../ledger/Ledger.ts'
import { followedTo } from '../settle/Cursor.ts'
import type { Settler } from '../settle/Settler.ts'
import type { ChainCheck } from './ChainCheck.ts'

export type Following = {
  /**
   * Whether for over a minute nobody got on: neither this process, if it is the one that follows, nor by the ledger's cursor anybody
   * else. Never throws.
   */
  isLost(): Promise<boolean>
  /** Blocks that weren't read; `undefined` while that can't be told. Never throws. */
  behind(): Promise<bigint | undefined>
  /** Looks at an interval, from the first call on. */
  watch(): void
  stop(): void
}

const patienceMs = 60_000
const intervalMs = 15_000
const keptMs = 1_000

export function createFollowing(options: {
  ledger: Pick<Ledger, 'notebook'>
  chain: Pick<ChainCheck, 'head'>
  /** What this process itself does about it. */
  own: Settler['following']
  /** Milliseconds of the local clock. */
  clock?: (() => number) | undefined
}): Following {
  const { ledger, chain, own, clock = Date.now } = options
  /** A head that is to be read within `patienceMs`, and how far behind the cursor was when that was the head. */
  let target: { number: bigint; behind: bigint | undefined; at: number } | undefined
  let lookedAt = Number.NEGATIVE_INFINITY
  let timer: ReturnType<typeof setInterval> | undefined

  async function look(): Promise<{ isLost: boolean; behind: bigint | undefined }> {
    const [seen, head] = await Promise.all([followedTo(ledger.notebook), chain.head()])
    const now = clock()
    const hasLooked = now - lookedAt <= patienceMs
    lookedAt = now
    if (head === undefined) {
      target = undefined
      return { isLost: false, behind: undefined }
    }
    const behind = seen === undefined ? undefined : head > seen ? head - seen : 0n
    const isReached = target && seen !== undefined && seen >= target.number
    // After a long time away it is read in portions.
    const isGaining = behind !== undefined && target?.behind !== undefined && behind < target.behind
    // What nobody looked at in between is judged the next time.
    if (!target || isReached || isGaining || !hasLooked) target = { number: head, behind, at: now }
    return { isLost: now - target.at > patienceMs, behind }
  }

  let found: ReturnType<typeof look> | undefined
  let foundUntil = 0

  /** However long it took: what isn't looked at for a minute can't be judged. */
  function latest(): ReturnType<typeof look> {
    if (found && performance.now() < foundUntil) return found
    foundUntil = Number.POSITIVE_INFINITY // until this answer is there, everybody waits for it
    found = look()
      .catch(() => ({ isLost: false, behind: undefined }))
      .finally(() => {
        foundUntil = performance.now() + keptMs
      })
    return found
  }

  /** A node that refuses, or whose head isn't believed: by the cursor, nothing may be missing. */
  function isOwnLost(): boolean {
    const now = clock()
    const { triedAt = Number.NEGATIVE_INFINITY, followedAt } = own()
    return triedAt > followedAt && now - triedAt <= patienceMs && now - followedAt > patienceMs
  }

  return {
    isLost: async () => isOwnLost() || (await latest()).isLost,
    behind: async () => (await latest()).behind,
    watch() {
      if (timer) return
      timer = setInterval(() => void latest(), intervalMs)
      if (typeof timer === 'object') timer.unref()
    },
    stop: () => clearInterval(timer),
  }
}
