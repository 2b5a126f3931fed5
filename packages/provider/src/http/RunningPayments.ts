import type { Hex } from 'viem'
import type { Payment } from './Payment.ts'

/** The payments of this process whose work goes on. */
export type RunningPayments = {
  add(payment: Payment): void
  delete(payment: Payment): void
  /** Those of one channel. */
  on(channelId: Hex): Iterable<Payment>
  all(): Iterable<Payment>
  readonly isEmpty: boolean
  /** Renews no reservation any more. */
  stop(): void
}

/**
 * One timer renews the reservations of all of them, however slowly their clients read.
 *
 * @param renewalMs A reservation is a lease of a minute; this is a third of it.
 */
export function createRunningPayments(renewalMs = 20_000): RunningPayments {
  const channels = new Map<Hex, Set<Payment>>()
  /** Those that the timer has seen before: only what takes long is renewed. */
  let seen = new Set<Payment>()
  let timer: ReturnType<typeof setInterval> | undefined

  function beat(): void {
    const now = new Set<Payment>()
    for (const payments of channels.values()) {
      for (const payment of payments) {
        if (seen.has(payment)) payment.renew()
        now.add(payment)
      }
    }
    seen = now
    if (now.size === 0) stop()
  }

  function stop(): void {
    clearInterval(timer)
    timer = undefined
  }

  return {
    add(payment) {
      const payments = channels.get(payment.channelId)
      if (payments) payments.add(payment)
      else channels.set(payment.channelId, new Set([payment]))
      if (timer) return
      timer = setInterval(beat, renewalMs)
      if (typeof timer === 'object') timer.unref()
    },
    delete(payment) {
      const payments = channels.get(payment.channelId)
      payments?.delete(payment)
      if (payments?.size === 0) channels.delete(payment.channelId)
    },
    on: (channelId) => channels.get(channelId) ?? [],
    get isEmpty() {
      return channels.size === 0
    },
    *all() {
      for (const payments of channels.values()) yield* payments
    },
    stop,
  }
}
