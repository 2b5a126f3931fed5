/** What an origin gets in payments of their own, one by one, under the limits that hold for channels. Pure but for the page. */
import { LimitExceededError, Usdc } from '@drain/core'
import type { Page } from './Book.ts'
import * as Commitments from './Commitments.ts'
import type * as Limits from './Limits.ts'
import type { PayeeRecord } from './records.ts'

/**
 * Puts a payment down before it is signed.
 *
 * @throws {LimitExceededError} The origin holds too much that it delivered nothing for, or has failed too often today.
 */
export function promise(
  page: Page,
  limits: Limits.Limits,
  origin: string,
  amount: bigint,
  now: number,
): void {
  const payee = current(page, origin, now)
  const { taken, delivered, lost } = payee
  // The first failure of a day is one that nobody could know of.
  if (lost > 0n && lost + amount > limits.undelivered) {
    throw new LimitExceededError(
      'undelivered',
      `${origin} got ${Usdc.display(lost)} today for requests without a successful answer; at most ${Usdc.display(limits.undelivered)} is paid for those.`,
      'Wait for the next day (UTC), or raise limits.undelivered.',
    )
  }
  Commitments.assertProvider(limits, taken - delivered, amount)
  put(page, { ...payee, taken: taken + amount })
}

/** Its answer was a success, and took `cost` of the amount. */
export function settle(
  page: Page,
  origin: string,
  { amount, cost }: { amount: bigint; cost: bigint },
  now: number,
): void {
  const payee = current(page, origin, now)
  put(page, { ...payee, taken: payee.taken - amount + cost, delivered: payee.delivered + cost })
}

/** Its answer was no success, or did not come. */
export function lose(page: Page, origin: string, amount: bigint, now: number): void {
  const payee = current(page, origin, now)
  put(page, { ...payee, lost: payee.lost + amount })
}

/** It was never sent. */
export function release(page: Page, origin: string, amount: bigint, now: number): void {
  const payee = current(page, origin, now)
  put(page, { ...payee, taken: payee.taken - amount })
}

function current(page: Page, origin: string, now: number): PayeeRecord {
  const day = new Date(now).toISOString().slice(0, 10)
  const known = page.get('payee', origin) ?? { origin, taken: 0n, delivered: 0n, lost: 0n, day }
  return known.day === day ? known : { ...known, lost: 0n, day }
}

function put(page: Page, payee: PayeeRecord): void {
  page.put('payee', payee.origin, payee)
}
