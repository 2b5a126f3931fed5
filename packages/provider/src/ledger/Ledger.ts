import type { Address, Hex } from 'viem'
import type { Notebook } from './Notebook.ts'

/**
 * The one place that decides whether a request may be served, and remembers what was.
 *
 * Every method is one atomic step on one channel, durable when its promise resolves. What may happen in honest use is a
 * typed result; a rejected promise means that the store failed (`LedgerUnavailableError`) or that somebody has a bug.
 * Amounts are base units of the token, at most 2^63 - 1. Invariants and order of steps: `README.md` beside this file.
 */
export interface Ledger {
  /**
   * Takes a verified voucher and reserves `quote` for one request: burns the nonce, raises `authorized`, checks the
   * funds. The nonce stays burned when the funds don't suffice. Writes the channel down when it is new.
   * @throws ChannelMismatchError when the ledger knows the channel with another deposit or party, or is another provider's.
   */
  reserve(request: {
    channel: ChannelFacts
    voucher: LedgerVoucher
    quote: bigint
    /** How long the reservation holds without `renew`. Default: 60,000. */
    leaseMs?: number | undefined
    /**
     * Names the request, so that a retry of it is not served twice. While a reservation of the same key is live, another one
     * is refused, and burns no nonce. Look for an `outcome` before reserving, and once more after: one that came in
     * between means to release and to answer with it.
     */
    key?: IdempotencyKey | undefined
  }): Promise<ReserveResult>

  /** Takes a verified voucher without a request (`POST /v1/vouchers`). One that isn't higher is fine; its nonce burns. */
  raise(request: { channel: ChannelFacts; voucher: LedgerVoucher }): Promise<RaiseResult>

  /** Reserves `by` more for a request that runs already. Refused, nothing changes. */
  extend(reservationId: ReservationId, by: bigint): Promise<ExtendResult>

  /** Keeps the reservation for another `leaseMs` from now; call it at a third of that. Works on a closing channel too. */
  renew(reservationId: ReservationId, leaseMs?: number): Promise<EndedOr<Done>>

  /**
   * Charges what a request has cost **so far, in all** (not since the last capture: repeating a capture charges nothing),
   * at most what was reserved for it, and gives the rest back. With `final: false` the rest stays reserved: a stream
   * captures each step before sending it, and must stop when `captured < actual`.
   *
   * With `hold` the rest is set to that: raised as far as the vouchers cover it and the channel is open, or lowered. The
   * capture is not refused when it can't be raised: look at `held`.
   *
   * `outcome` is kept with the final capture, in the same step, for retries under the key that was reserved with; not when
   * the lease had run out and `actual` could not be charged in full.
   *
   * If the lease has run out, it charges what the channel can still bear, and nothing once it is closing.
   */
  capture(
    reservationId: ReservationId,
    actual: bigint,
    options?: { final?: boolean | undefined; hold?: bigint | undefined; outcome?: Uint8Array | undefined },
  ): Promise<CaptureResult>

  /** What a request under this key was answered, if that is still kept. */
  outcome(channelId: Hex, keyId: Hex): Promise<Outcome | undefined>

  /** Gives back what was reserved and not captured. */
  release(reservationId: ReservationId): Promise<EndedOr<Done>>

  /** No voucher, reservation or extension is taken any more; what is reserved may still be captured. For good. */
  freeze(channel: ChannelFacts): Promise<ChannelState>

  /**
   * Fixes what a frozen channel will have paid in the end, `max(charged, claimed)`, and stores it: repeats get the same
   * answer. Not yet while something is reserved, or while a claim above it is under way.
   * @throws LedgerUsageError when the channel is unknown or was not frozen.
   */
  finalize(channelId: Hex): Promise<FinalizeResult>

  /**
   * Announces a claim that takes up to `amount` (cumulative), before its transaction is sent. On contracts that pay only
   * the whole signed amount that may be more than was charged: the surplus is the consumer's credit, and no alarm.
   * @throws LedgerUsageError when nobody signed that much.
   */
  beginClaim(channelId: Hex, amount: bigint): Promise<BeginClaimResult>

  /**
   * Records `channel.claimed` as the chain shows it at finality, and that no claim announced is under way any more,
   * whether it was mined, failed or was never sent. `receipt`: of the transaction that was mined, for the accounts.
   */
  endClaim(channel: ChannelFacts, receipt?: ClaimReceipt): Promise<ChannelState>

  /**
   * Records `channel.claimed` as the chain shows it; a lower one than before is ignored, so wait for finality.
   *
   * If it is more than was charged and no claim announced explains it, this ledger has lost data: it raises `charged`,
   * ends all reservations, freezes the channel and sets `alarm`. The same goes for the facts that `reserve`, `raise` and
   * `freeze` bring along, so a lost ledger does not serve a channel that was claimed from.
   */
  recordClaimed(channel: ChannelFacts): Promise<ChannelState>

  /** The channel is closed on chain. Undefined when the ledger never knew it. */
  markClosed(channelId: Hex): Promise<ChannelState | undefined>

  /** The channel as it is now, or undefined. Writes nothing and waits for nobody. */
  get(channelId: Hex): Promise<ChannelState | undefined>

  /**
   * The channel as this process last saw it, or undefined: cheaper than `get`, and perhaps behind other processes. For what
   * never changes: parties, deposit, session key.
   */
  glance(channelId: Hex): Promise<ChannelState | undefined>

  /**
   * All channels that match, oldest first, read in portions: what changes meanwhile may be seen or not, and `reserved`
   * may still count leases that have run out.
   */
  channels(filter?: ChannelFilter): AsyncIterable<ChannelState>

  /** Sums over all channels: for a page of statistics, not for a request. */
  totals(): Promise<LedgerTotals>

  /** What was charged, by day (UTC) and channel, oldest day first. Days without charges are left out. */
  days(range?: DayRange): AsyncIterable<ChargedDay>

  /** The claims that were paid out, oldest first. */
  claims(range?: DayRange): AsyncIterable<ClaimRecord>

  /** What is remembered beside the channels. Nothing in it changes what is served. */
  readonly notebook: Notebook

  /**
   * Drops what can't matter any more: outcomes whose time is up, leases that can't be captured any more, and channels that
   * ended long ago (closed, or expired with nothing left to claim) and whose ids can never be served again. Their days and
   * claims stay. Run it now and then; it works in portions.
   */
  prune(): Promise<{ channels: number; outcomes: number }>

  /** Resolves when the store is open and sound. @throws LedgerFileError | LedgerUnavailableError */
  ready(): Promise<void>

  /** Finishes what was asked for before and closes the store; later calls reject. */
  close(): Promise<void>
}

/** Whose ledger it is. A stored ledger serves the one that it was made for, and no other. */
export type LedgerIdentity = { chainId: number; contract: Address; provider: Address }

/** What `memoryLedger`, `sqliteLedger` and `postgresLedger` return: opens the ledger once the provider knows who it is. */
export type LedgerOpener = (identity: LedgerIdentity) => Ledger

/** A channel as its contract shows it. A `ChannelState` will do. */
export type ChannelFacts = {
  /** In any letter case. */
  channelId: Hex
  consumer: Address
  provider: Address
  /** Base units. */
  deposit: bigint
  /** Base units paid out so far, before fees. */
  claimed: bigint
  /** Unix seconds. */
  expiry: bigint
  /**
   * The session key's proof that this channel was opened for it, `abi.encode(kind, duration, signer, salt)`, checked by the
   * caller. The ledger keeps the first one it is given.
   */
  proof?: Hex | undefined
}

/** A request's `Idempotency-Key`, hashed, and what the request was: another body under the same key is another request. */
export type IdempotencyKey = { id: Hex; fingerprint: Hex }

/** How a request under a key ended: the encoded response. */
export type Outcome = { fingerprint: Hex; response: Uint8Array }

/** What a mined claim's receipt says. Base units and wei. */
export type ClaimReceipt = { txHash: Hex; fee: bigint; gasCost: bigint }

/** One claim. `amount` is what it took from the channel (before the fee), not the cumulative total. `at`: Unix seconds. */
export type ClaimRecord = ClaimReceipt & { channelId: Hex; consumer: Address; amount: bigint; at: bigint }

/** What one channel was charged on one day. `day` is `YYYY-MM-DD`, UTC. */
export type ChargedDay = { day: string; channelId: Hex; consumer: Address; charged: bigint; requests: bigint }

/** Days from and to, both included, as `YYYY-MM-DD`. */
export type DayRange = { from?: string | undefined; to?: string | undefined }

/** A voucher whose signature the caller has verified for this channel and contract. */
export type LedgerVoucher = {
  /** Cumulative, base units. */
  amount: bigint
  /** Below 2^63. */
  nonce: bigint
  /** As the contract takes it: 65 bytes, and for a session key the proof behind them. */
  signature: Hex
}

export type ChannelStatus = 'open' | 'closing' | 'closed'

/** A channel's account: `claimed <= charged <= charged + reserved <= authorized <= deposit`. */
export type ChannelState = ChannelFacts & {
  status: ChannelStatus
  /** When the ledger first heard of it, in Unix seconds. */
  firstSeen: bigint
  /** The most the consumer has signed for. */
  authorized: bigint
  /** What was delivered. */
  charged: bigint
  /** How many requests were charged. */
  requests: bigint
  /** What requests at work may come to cost. */
  reserved: bigint
  /** The most that a claim of ours may have taken; only this lets `claimed` exceed `charged`. */
  claiming: bigint
  /** What the channel pays in the end, once `finalize` has fixed it. */
  finalAmount: bigint | undefined
  /** The chain paid out more than this ledger knows of: it lost data, and someone should look. */
  alarm: boolean
  /** The highest nonce burned. */
  nonce: bigint | undefined
  /** The voucher for `authorized`. */
  highest: LedgerVoucher | undefined
  /**
   * For contracts that pay only the whole signed amount: a voucher for at most `charged`. Not always the best that ever
   * came, since only a few are kept, but it follows `charged` at the distance of the requests at work.
   */
  claimable: LedgerVoucher | undefined
}

/** Names a reservation: each channel burns a nonce once, so it never names another. */
export type ReservationId = `${Hex}:${bigint}`

export type Done = { ok: true; state: ChannelState }
export type Refused<code extends string> = { ok: false; code: code; state: ChannelState }
/** The reservation was captured or released before, or its lease has run out. */
export type EndedOr<result> = result | Refused<'reservation_ended'>

/** Why a voucher is not taken. Its nonce is not burned by that. */
export type VoucherRefusal = 'invalid_nonce' | 'exceeds_deposit' | 'channel_closing'

export type ReserveResult =
  | (Done & { reservationId: ReservationId })
  | Refused<
      | VoucherRefusal
      | 'insufficient_funds'
      | 'idempotency_in_flight'
      | 'idempotency_mismatch'
      | 'rate_limited'
    >
export type RaiseResult = Done | Refused<VoucherRefusal>
export type ExtendResult = EndedOr<Done | Refused<'insufficient_funds' | 'channel_closing'>>
/**
 * `captured`: what this reservation was charged in all; `held`: what is still reserved for it. Refused when it was captured or
 * released before.
 */
export type CaptureResult = EndedOr<Done & { captured: bigint; held: bigint }>
export type FinalizeResult = (Done & { finalAmount: bigint }) | Refused<'reserved' | 'claim_pending'>
export type BeginClaimResult = Done | Refused<'channel_closed' | 'exceeds_final_amount'>

export type ChannelFilter = {
  status?: ChannelStatus | undefined
  /** Only channels with `charged - claimed` above this. */
  unclaimedOver?: bigint | undefined
  /**
   * Only channels that have a reason to be claimed: `charged - claimed` of at least `unclaimed`, or an `expiry` (Unix seconds) no
   * later than this, or an end that has begun. With `unclaimedOver`, stores find them without reading the others.
   */
  due?: { unclaimed: bigint; expiry: bigint } | undefined
}

/** `unused`: what was claimed above what was charged, where only whole signed amounts can be claimed: the consumers' credit. */
export type LedgerTotals = Record<ChannelStatus | 'alarms', number> &
  Record<'deposit' | 'authorized' | 'charged' | 'reserved' | 'claimed' | 'unused', bigint>
