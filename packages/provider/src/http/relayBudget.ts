/** How much gas may be spent on opens of strangers: budgets in time, in all and per consumer. */
import { DrainError } from '@drain/core'
import type { Address } from 'viem'

/** How many opens are relayed. Counted in memory: a restart starts anew. */
export type RelayBudgetInput = {
  /** Transactions a minute, in all. Default 10. */
  perMinute?: number | undefined
  /** Transactions a day (UTC), in all: bounds what the relay can cost. Default 500. */
  perDay?: number | undefined
  /** Transactions a day (UTC) for one consumer. Default 3. */
  perConsumerPerDay?: number | undefined
}

export type RelayBudget = {
  /** A request that the node will be asked about. */
  takeAttempt(): boolean
  /** A transaction about to be sent. It stays taken also when the transaction fails: the gas is gone then. */
  takeTransaction(consumer: Address): { ok: true } | { ok: false; retryAfterSeconds: number }
}

/** Requests that cost calls to the node and no gas, for each transaction of a minute. */
const attemptsPerTransaction = 6

/** @throws {DrainError} `invalid_limit` */
export function createRelayBudget(
  { perMinute = 10, perDay = 500, perConsumerPerDay = 3 }: RelayBudgetInput = {},
  /** Milliseconds since 1970. */
  clock: () => number = Date.now,
): RelayBudget {
  for (const [name, value] of Object.entries({ perMinute, perDay, perConsumerPerDay })) {
    if (Number.isSafeInteger(value) && value > 0) continue
    throw new DrainError('invalid_limit', `relay.${name} is ${value}.`, {
      action: 'Use a positive whole number.',
    })
  }
  const attempts = windowed(60_000, clock)
  const minutes = windowed(60_000, clock)
  const days = windowed(86_400_000, clock)
  /** Never more entries than transactions of a day. */
  const consumers = new Map<Address, number>()
  let day = Number.NaN

  return {
    takeAttempt: () => attempts.take(perMinute * attemptsPerTransaction),
    takeTransaction(consumer) {
      const today = Math.floor(clock() / 86_400_000)
      if (today !== day) consumers.clear()
      day = today
      const before = consumers.get(consumer) ?? 0
      if (before >= perConsumerPerDay || !days.isLeft(perDay)) {
        return { ok: false, retryAfterSeconds: days.secondsToNext() }
      }
      if (!minutes.take(perMinute)) return { ok: false, retryAfterSeconds: minutes.secondsToNext() }
      days.take(perDay)
      consumers.set(consumer, before + 1)
      return { ok: true }
    },
  }
}

/** A count that starts again with every window of time. */
function windowed(ms: number, clock: () => number) {
  let window = Number.NaN
  let count = 0
  function isLeft(most: number): boolean {
    const current = Math.floor(clock() / ms)
    if (current !== window) count = 0
    window = current
    return count < most
  }
  return {
    isLeft,
    take(most: number): boolean {
      if (!isLeft(most)) return false
      count += 1
      return true
    },
    secondsToNext: () => Math.ceil((ms - (clock() % ms)) / 1_000),
  }
}
