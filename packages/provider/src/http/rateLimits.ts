/** Limits per channel, for channels whose consumer has proved itself by a valid signature: nobody else can use them up. */
import { DrainError } from '@drain/core'
import type { Hex } from 'viem'

/** How much one channel may ask for. What is left out is unlimited. */
export type LimitsInput = {
  /** Paid requests a minute; as many may come at once. */
  requestsPerMinute?: number | undefined
  /** Paid requests at the same time. */
  concurrent?: number | undefined
}

/** A request let through. Call `end` when it is done. `giveBack` when it was no request of this channel's after all. */
export type Ticket = { end(): void; giveBack(): void }

export type LimitResult =
  | { ok: true; ticket: Ticket }
  | { ok: false; limit: 'requests_per_minute' | 'concurrent'; retryAfterSeconds: number }

export type RateLimits = {
  /** Takes one request out of a channel's budget. Only for channels whose voucher was verified. */
  take(channelId: Hex): LimitResult
  /** Whether anybody wants to know when a request ends. */
  readonly countsConcurrent: boolean
}

/** Channels remembered; one forgotten starts anew, which costs an attacker as many funded channels. */
const remembered = 100_000

const unlimitedResult: LimitResult = { ok: true, ticket: { end() {}, giveBack() {} } }
const unlimited: RateLimits = {
  take: () => unlimitedResult,
  countsConcurrent: false,
}

/** @throws {DrainError} `invalid_limit` */
export function createRateLimits(
  { requestsPerMinute, concurrent }: LimitsInput = {},
  /** Milliseconds; never runs backwards. */
  clock: () => number = () => performance.now(),
): RateLimits {
  assertLimit('requestsPerMinute', requestsPerMinute)
  assertLimit('concurrent', concurrent)
  if (requestsPerMinute === undefined && concurrent === undefined) return unlimited
  const perMs = (requestsPerMinute ?? 0) / 60_000

  /** Requests left of the minute's, and requests at work. Ordered by last use. */
  type Bucket = { left: number; at: number; running: number }
  const buckets = new Map<Hex, Bucket>()

  function bucketOf(channelId: Hex): Bucket {
    const now = clock()
    const bucket = buckets.get(channelId) ?? { left: requestsPerMinute ?? 0, at: now, running: 0 }
    buckets.delete(channelId)
    buckets.set(channelId, bucket)
    bucket.left = Math.min(requestsPerMinute ?? 0, bucket.left + (now - bucket.at) * perMs)
    bucket.at = now
    if (buckets.size > remembered) forgetOne()
    return bucket
  }

  /** The one not used for longest of those at hand; one with requests at work is used again at their end. */
  function forgetOne(): void {
    for (const [id, { running }] of buckets) {
      if (running > 0) continue
      buckets.delete(id)
      return
    }
  }

  return {
    countsConcurrent: concurrent !== undefined,
    take(channelId) {
      const bucket = bucketOf(channelId)
      if (concurrent !== undefined && bucket.running >= concurrent) {
        return { ok: false, limit: 'concurrent', retryAfterSeconds: 1 }
      }
      if (requestsPerMinute !== undefined && bucket.left < 1) {
        const retryAfterSeconds = Math.max(1, Math.ceil((1 - bucket.left) / perMs / 1_000))
        return { ok: false, limit: 'requests_per_minute', retryAfterSeconds }
      }
      bucket.left -= 1
      bucket.running += 1
      let isOver = false
      const end = () => {
        if (isOver) return
        isOver = true
        bucket.running -= 1
      }
      return {
        ok: true,
        ticket: {
          end,
          giveBack() {
            if (!isOver) bucket.left += 1
            end()
          },
        },
      }
    },
  }
}

/** Vouchers that may come beside each request: a stream asks for one after the other. */
const raisesPerRequest = 10

/**
 * The limits of vouchers that come without a request, where requests have some. A budget of their own: a request that waits for
 * its voucher is one of those at work already.
 */
export function limitsOfRaises({ requestsPerMinute }: LimitsInput = {}): LimitsInput {
  return requestsPerMinute ? { requestsPerMinute: raisesPerRequest * requestsPerMinute } : {}
}

function assertLimit(name: keyof LimitsInput, value: number | undefined): void {
  if (value === undefined || (Number.isSafeInteger(value) && value > 0)) return
  throw new DrainError('invalid_limit', `limits.${name} is ${value}.`, {
    action: 'Use a positive whole number, or leave it out for no limit.',
  })
}
