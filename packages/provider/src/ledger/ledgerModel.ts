import type { ChannelState, IdempotencyKey, LedgerVoucher } from './Ledger.ts'

/** What an operation came to, as far as the model knows. */
type Outcome = { ok: boolean; code?: string; captured?: bigint; held?: bigint; finalAmount?: bigint }

type Reservation = {
  held: bigint
  captured: bigint
  endsAt: number
  is: 'live' | 'expired' | 'over'
  key: IdempotencyKey | undefined
}

/**
 * One channel as `protocol.md` §3 tells it, in the plainest code: every nonce and reservation remembered, every sum
 * counted anew. The conformance suite holds each store against it.
 */
export function ledgerModel(deposit: bigint, now: () => number) {
  const burned = new Set<bigint>()
  const reservations = new Map<bigint, Reservation>()
  let [authorized, charged, requests, claimed, claiming] = [0n, 0n, 0n, 0n, 0n]
  let finalAmount: bigint | undefined
  let status: ChannelState['status'] = 'open'
  let alarm = false

  const live = () => [...reservations.values()].filter(({ is, endsAt }) => is === 'live' && endsAt > now())
  const reserved = () => live().reduce((sum, { held }) => sum + held, 0n)
  const free = () => authorized - charged - reserved()
  const highest = () => [...burned].reduce((a, b) => (a > b ? a : b), -1n)
  const refuse = (code: string): Outcome => ({ ok: false, code })
  const done: Outcome = { ok: true }

  function tick(): void {
    for (const reservation of reservations.values())
      if (reservation.is === 'live' && reservation.endsAt <= now()) reservation.is = 'expired'
  }

  function raise({ amount, nonce }: Pick<LedgerVoucher, 'amount' | 'nonce'>): Outcome {
    if (status !== 'open') return refuse('channel_closing')
    if (amount > deposit) return refuse('exceeds_deposit')
    if (burned.has(nonce) || nonce < highest() - 1024n) return refuse('invalid_nonce')
    burned.add(nonce)
    if (amount > authorized) authorized = amount
    return done
  }

  return {
    tick,
    raise,
    reserve(voucher: LedgerVoucher, quote: bigint, leaseMs: number, key?: IdempotencyKey): Outcome {
      for (const rival of live()) {
        if (!key || rival.key?.id !== key.id) continue
        return refuse(
          rival.key.fingerprint === key.fingerprint ? 'idempotency_in_flight' : 'idempotency_mismatch',
        )
      }
      const raised = raise(voucher)
      if (!raised.ok) return raised
      if (quote > free()) return refuse('insufficient_funds')
      for (const late of reservations.values())
        if (key && late.is === 'expired' && late.key?.id === key.id) late.is = 'over'
      reservations.set(voucher.nonce, { held: quote, captured: 0n, endsAt: now() + leaseMs, is: 'live', key })
      return done
    },
    extend(nonce: bigint, by: bigint): Outcome {
      const reservation = reservations.get(nonce)
      if (reservation?.is !== 'live') return refuse('reservation_ended')
      if (status !== 'open') return refuse('channel_closing')
      if (by > free()) return refuse('insufficient_funds')
      reservation.held += by
      return done
    },
    renew(nonce: bigint, leaseMs: number): Outcome {
      const reservation = reservations.get(nonce)
      if (reservation?.is !== 'live') return refuse('reservation_ended')
      reservation.endsAt = Math.max(reservation.endsAt, now() + leaseMs)
      return done
    },
    capture(nonce: bigint, actual: bigint, { final, hold }: { final: boolean; hold?: bigint }): Outcome {
      const reservation = reservations.get(nonce)
      if (!reservation || reservation.is === 'over') return refuse('reservation_ended')
      const bounds = [actual - reservation.captured, reservation.held]
      if (reservation.is === 'expired') bounds.push(status === 'open' ? free() : 0n)
      const least = bounds.reduce((a, b) => (a < b ? a : b))
      const taken = least > 0n ? least : 0n
      charged += taken
      reservation.held -= taken
      if (taken > 0n && reservation.captured === 0n) requests += 1n
      reservation.captured += taken
      if (final) reservation.is = 'over'
      if (reservation.is === 'live' && hold !== undefined) {
        const most = reservation.held + (status === 'open' ? free() : 0n)
        reservation.held = hold < most ? hold : most
      }
      return {
        ok: true,
        captured: reservation.captured,
        held: reservation.is === 'live' ? reservation.held : 0n,
      }
    },
    freeze(): void {
      if (status === 'open') status = 'closing'
    },
    finalize(): Outcome {
      if (finalAmount === undefined) {
        if (reserved() > 0n) return refuse('reserved')
        const amount = charged > claimed ? charged : claimed
        if (claiming > amount) return refuse('claim_pending')
        finalAmount = amount
      }
      return { ok: true, finalAmount }
    },
    beginClaim(amount: bigint): Outcome {
      if (status === 'closed') return refuse('channel_closed')
      if (finalAmount !== undefined && amount > finalAmount) return refuse('exceeds_final_amount')
      if (amount > claiming) claiming = amount
      return done
    },
    endClaim(): void {
      if (claiming > claimed) claiming = claimed
    },
    /** What the chain shows: explained, or the end of service. */
    recordClaimed(amount: bigint): void {
      if (amount > charged && amount > claiming) {
        for (const reservation of reservations.values()) reservation.is = 'over'
        charged = amount
        if (charged > authorized) authorized = charged
        if (status === 'open') status = 'closing'
        finalAmount = undefined
        alarm = true
      }
      if (amount > claimed) claimed = amount
    },
    markClosed(): void {
      for (const reservation of reservations.values()) reservation.is = 'over'
      status = 'closed'
    },
    state: () => ({
      ...{
        status,
        authorized,
        charged,
        requests,
        reserved: reserved(),
        claimed,
        claiming,
        finalAmount,
        alarm,
      },
      nonce: burned.size > 0 ? highest() : undefined,
    }),
  }
}
