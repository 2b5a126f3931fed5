/** How many unknown channels are looked up on chain: whoever invents ids must not turn requests into questions to a node. */

export type LookupBudget = {
  /** Takes one lookup; call the result when it has ended. `undefined` when there is none left just now. */
  take(remoteAddress?: string | undefined): (() => void) | undefined
}

/** Lookups a second, and at the same time, for everybody together. */
const together = { perSecond: 50, parallel: 32 }

/** Lookups a second for one remote address, and how many may come at once. */
const each = { perSecond: 5, burst: 20 }

/** Addresses remembered. One forgotten starts anew, within what everybody has together. */
const remembered = 10_000

/** @param clock Milliseconds. */
export function createLookupBudget(clock: () => number): LookupBudget {
  const all: Bucket = { left: together.perSecond, at: clock() }
  const byAddress = new Map<string, Bucket>()
  let running = 0

  function bucketOf(address: string, now: number): Bucket {
    const network = networkOf(address)
    const bucket = byAddress.get(network) ?? { left: each.burst, at: now }
    byAddress.delete(network) // the last used is the last forgotten
    byAddress.set(network, bucket)
    const [oldest] = byAddress.keys()
    if (byAddress.size > remembered && oldest !== undefined) byAddress.delete(oldest)
    return refill(bucket, now, each.perSecond, each.burst)
  }

  return {
    take(remoteAddress) {
      const now = clock()
      const own = remoteAddress === undefined ? undefined : bucketOf(remoteAddress, now)
      refill(all, now, together.perSecond, together.perSecond)
      if ((own && own.left < 1) || all.left < 1 || running >= together.parallel) return undefined
      if (own) own.left -= 1
      all.left -= 1
      running += 1
      let isOver = false
      return () => {
        if (isOver) return
        isOver = true
        running -= 1
      }
    },
  }
}

/** What is left, and since when. */
type Bucket = { left: number; at: number }

function refill(bucket: Bucket, now: number, perSecond: number, most: number): Bucket {
  // A clock that was set back must not empty it.
  bucket.left = Math.min(most, bucket.left + (Math.max(0, now - bucket.at) / 1_000) * perSecond)
  bucket.at = now
  return bucket
}

/**
 * What one customer of an access provider has to itself: an IPv4 address, the first 64 bits of an IPv6 address. Anything else
 * counts as it is.
 */
export function networkOf(address: string): string {
  const text = address.slice(0, 64).toLowerCase()
  const mapped = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/.exec(text)?.[1]
  if (mapped) return mapped
  if (!/^[0-9a-f:.]+(?:%.*)?$/.test(text) || !text.includes(':')) return text
  const [front = '', back] = text.split('::')
  const groups = front === '' ? [] : front.split(':')
  const missing = back === undefined ? 0 : 8 - groups.length - (back === '' ? 0 : back.split(':').length)
  const all = [
    ...groups,
    ...Array.from({ length: Math.max(0, missing) }, () => '0'),
    ...(back ?? '').split(':'),
  ]
  return all
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')
}
