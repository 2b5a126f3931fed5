import type { Payment } from '../http/Payment.ts'
import type { ChannelState } from '../ledger/Ledger.ts'
import { type Ended, needVoucherFrame } from './frames.ts'
import type { Place } from './WaitingLines.ts'

/** The stream that waits. */
type Waiter = {
  payment: Payment
  /** What it must hold to go on, and what it would rather hold, in base units. */
  needed: bigint
  wanted: bigint
  send(frame: string): void
  /** Whether the client has read all that was sent. */
  isRead(): boolean
  /** Resolves when `ring` is called next. */
  rung(): Promise<void>
  ring(): void
  /** Why to wait no longer. */
  stopped(): Ended | undefined
}

/**
 * Asks the consumer for a voucher, and waits until `needed` is reserved: on a channel, the stream that waited longest goes
 * on first. Whoever waits behind another gives back what it holds, so that two can't wait for each other's rest.
 *
 * @returns Why the stream ends instead, or nothing when it goes on.
 */
export async function awaitVoucher(waiter: Waiter): Promise<Ended | undefined> {
  const { payment, needed, wanted, rung, ring } = waiter
  const { channelId } = payment
  const { ledger, lines, settings } = payment.streams
  const place: Place = { missing: needed - payment.held, asked: wanted - payment.held, ring }
  lines.join(channelId, place)
  let isOver = false
  const grace = setTimeout(() => {
    isOver = true
    ring()
  }, settings.graceMs)
  const poll = setInterval(ring, settings.pollMs)
  try {
    if (!lines.isFirst(channelId, place)) {
      await hold(0n)
      lines.wake(channelId)
    }
    let told: bigint | undefined
    for (;;) {
      let state = await ledger.get(channelId)
      if (state && lines.isFirst(channelId, place) && available(state) >= place.missing) {
        await hold(wanted)
        if (payment.held >= needed) return undefined
        state = payment.account
      }
      if (waiter.stopped()) return waiter.stopped()
      if (state?.status !== 'open') return 'closed'
      if (isOver) return 'voucher'
      const { charged, reserved, authorized, deposit } = state
      const taken = charged + reserved
      if (taken + lines.missingBefore(channelId, place) + place.missing > deposit) return 'deposit'
      // Once for every voucher that was not enough, and never more than the client reads.
      if (told === undefined || (told !== authorized && waiter.isRead())) {
        told = authorized
        const inAll = taken + lines.asked(channelId)
        const requiredCumulative = inAll < deposit ? inAll : deposit
        waiter.send(
          needVoucherFrame({ channelId, requiredCumulative, acceptedCumulative: authorized, deposit }),
        )
      }
      await rung()
    }
  } finally {
    clearTimeout(grace)
    clearInterval(poll)
    lines.leave(channelId, place)
  }

  async function hold(amount: bigint): Promise<void> {
    await payment.step(payment.captured, amount)
    place.missing = needed - payment.held
    place.asked = wanted - payment.held
  }
}

function available({ authorized, charged, reserved }: ChannelState): bigint {
  return authorized - charged - reserved
}
