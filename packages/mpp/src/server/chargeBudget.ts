/**
 * What charges that come to nothing may cost: questions to the node for credentials that are never settled, and gas for transactions
 * that fail since the payer has moved its money away meanwhile.
 */
import { DrainError } from '@drain/core'
import type { Address } from 'viem'

/** Counted in memory: a restart starts anew. */
export type ChargeBudgetInput = {
  /** Credentials a minute that the node is asked about. Default 1,200. */
  perMinute?: number | undefined
  /** Charges a day (UTC) of one payer that may fail after the work was done. Default 3. */
  failuresPerPayer?: number | undefined
  /** The same of all payers: then no charges are taken until the day is over. Default 100. */
  failuresPerDay?: number | undefined
}

export type ChargeBudget = {
  /** A credential that the node will be asked about. */
  take(from: Address): boolean
  /** One whose work was done, and that could not be settled. */
  failed(from: Address): void
}

/** @throws {DrainError} `invalid_limit` */
export function createChargeBudget(
  { perMinute = 1_200, failuresPerPayer = 3, failuresPerDay = 100 }: ChargeBudgetInput,
  /** Milliseconds since 1970. */
  clock: () => number,
): ChargeBudget {
  for (const [name, value] of Object.entries({ perMinute, failuresPerPayer, failuresPerDay })) {
    if (Number.isSafeInteger(value) && value > 0) continue
    throw new DrainError('invalid_limit', `evmCharge.${name} is ${value}.`, {
      action: 'Use a positive whole number.',
    })
  }
  let minute = Number.NaN
  let attempts = 0
  let day = Number.NaN
  let failures = 0
  /** Of today; never more entries than failures. */
  const payers = new Map<Address, number>()

  function turn(): void {
    const now = clock()
    if (Math.floor(now / 60_000) !== minute) attempts = 0
    minute = Math.floor(now / 60_000)
    if (Math.floor(now / 86_400_000) === day) return
    day = Math.floor(now / 86_400_000)
    failures = 0
    payers.clear()
  }

  return {
    take(from) {
      turn()
      if (attempts >= perMinute || failures >= failuresPerDay) return false
      if ((payers.get(from) ?? 0) >= failuresPerPayer) return false
      attempts += 1
      return true
    },
    failed(from) {
      turn()
      failures += 1
      payers.set(from, (payers.get(from) ?? 0) + 1)
    },
  }
}
