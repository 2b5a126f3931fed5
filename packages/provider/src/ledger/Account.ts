/**
 * What the ledger knows about one channel, and every way it may change: pure functions from an account to the next.
 *
 * Stores read an account, let one of these decide, and write what it returns; none decides anything by itself.
 */
import type { Address, Hex } from 'viem'
import * as Day from './Day.ts'
import { ChannelMismatchError, LedgerInvariantError } from './Errors.ts'
import type {
  ChannelFacts,
  ChannelFilter,
  ChannelState,
  ChannelStatus,
  IdempotencyKey,
  LedgerVoucher,
  VoucherRefusal,
} from './Ledger.ts'
import type { ChannelRecord, DayEnd } from './LedgerStore.ts'
import * as NonceWindow from './NonceWindow.ts'

export type Account = {
  readonly channelId: Hex
  readonly consumer: Address
  readonly provider: Address
  readonly deposit: bigint
  readonly expiry: bigint
  /** The first that was given; a session key's vouchers end with it when they are claimed. */
  readonly proof: Hex | undefined
  readonly firstSeen: bigint
  readonly status: ChannelStatus
  /** When it was seen closed, in Unix seconds. */
  readonly closedAt: bigint | undefined
  readonly authorized: bigint
  readonly charged: bigint
  /** How many reservations were charged anything. */
  readonly requests: bigint
  /** The day (`Day`) of the last charge. */
  readonly chargedOn: number | undefined
  readonly reserved: bigint
  readonly claimed: bigint
  /** How much of `claimed` is in the records of claims, or never will be: the next record is of what came after. */
  readonly accounted: bigint
  readonly claiming: bigint
  readonly finalAmount: bigint | undefined
  readonly alarm: boolean
  readonly nonces: NonceWindow.NonceWindow
  readonly highest: LedgerVoucher | undefined
  /** The lowest voucher known above `charged`: the next to become claimable. */
  readonly next: LedgerVoucher | undefined
  readonly claimable: LedgerVoucher | undefined
}

/** A reservation. Its channel and the nonce that paid for it name it. */
export type Lease = {
  readonly nonce: bigint
  /** What is still set aside, or was when it expired. */
  readonly held: bigint
  /** What was charged so far. */
  readonly captured: bigint
  /** `held` counts as reserved while live. Expired, it is remembered for a late capture. Stores drop what has ended. */
  readonly stage: 'live' | 'expired' | 'ended'
  /** When the stage is over, in milliseconds on the store's clock. */
  readonly endsAt: number
  /** Of the request that it was made for: two of them are never served at once. */
  readonly key: IdempotencyKey | undefined
}

/** What an operation comes to: what to write, and why it was refused if it was. */
export type Step<refusal extends string = never> = {
  readonly account: Account
  /** The reservation that it was about, as it is now. */
  readonly lease?: Lease
  /** The leases that were there before, where some of the others had to go. */
  readonly leases?: readonly Lease[]
  readonly refusal?: refusal
}

/** How long an expired reservation can still be captured. */
const remembered = Day.milliseconds

/** How many leases a channel may have: its record is written with each step, and must not grow without end. */
export const maxLeases = 1024

/** How long an account is kept after its channel has ended, in seconds. */
const keptAfterEnd = 7n * 24n * 60n * 60n

/** The account of a channel that the ledger sees for the first time, `now` on the store's clock. */
export function open(facts: ChannelFacts, now: number): Account {
  const { channelId, consumer, provider, deposit, expiry, proof } = facts
  return {
    channelId,
    consumer,
    provider,
    deposit,
    expiry,
    proof,
    firstSeen: toSeconds(now),
    status: 'open',
    closedAt: undefined,
    authorized: 0n,
    charged: 0n,
    requests: 0n,
    chargedOn: undefined,
    reserved: 0n,
    claimed: 0n,
    accounted: 0n,
    claiming: 0n,
    finalAmount: undefined,
    alarm: false,
    nonces: NonceWindow.empty,
    highest: undefined,
    next: undefined,
    claimable: undefined,
  }
}

/** Compares the account with what the chain is said to show. */
export function agree(account: Account, facts: ChannelFacts): Account {
  for (const fact of ['consumer', 'provider', 'deposit'] as const) {
    if (account[fact] !== facts[fact])
      throw new ChannelMismatchError(account.channelId, `${fact} ${account[fact]}, not ${facts[fact]}`)
  }
  // Before finality a reorg can move the block of the open. The earlier expiry is the safe one to claim by.
  const expiry = facts.expiry < account.expiry ? facts.expiry : account.expiry
  const proof = account.proof ?? facts.proof
  return expiry === account.expiry && proof === account.proof ? account : { ...account, expiry, proof }
}

/** Whether the chain has paid out more than this ledger charged or announced to claim: it has lost data. */
export function isUnexplained(account: Account, claimed: bigint): boolean {
  return claimed > max(account.charged, account.claiming)
}

/** Repairs what can be repaired of an account that has lost data, and stops serving it. Its leases must have ended. */
export function alarm(account: Account, claimed: bigint): Account {
  const authorized = max(account.authorized, claimed)
  const charged = charge({ ...account, authorized }, claimed - account.charged)
  // A final amount below what was claimed is worth nothing to the consumer: it is fixed anew.
  return { ...freeze(charged).account, claimed, accounted: claimed, alarm: true, finalAmount: undefined }
}

/**
 * The record as it is `now`: leases whose stage is over are no longer reserved if they were live, and forgotten if they
 * had expired. The same record when there are none.
 */
export function lapse(record: ChannelRecord, now: number): ChannelRecord {
  const { account, leases } = record
  const due = leases.filter(({ endsAt }) => endsAt <= now)
  if (due.length === 0) return record
  const left = leases
    .filter(({ stage, endsAt }) => stage === 'live' || endsAt > now)
    .map((lease) => (lease.endsAt > now ? lease : expire(lease, now + remembered)))
  return { account: withoutHeld(account, due), leases: left }
}

/** Ends all leases of a channel. */
export function dropLeases({ account, leases }: ChannelRecord): ChannelRecord {
  return { account: withoutHeld(account, leases), leases: [] }
}

/** Puts a lease in the place of the one with its nonce. One that has ended leaves. */
export function withLease(leases: readonly Lease[], changed: Lease | undefined): readonly Lease[] {
  if (!changed) return leases
  const index = leases.findIndex(({ nonce }) => nonce === changed.nonce)
  if (index < 0) return changed.stage === 'ended' ? leases : [...leases, changed]
  if (changed.stage === 'ended') return leases.toSpliced(index, 1)
  return leases[index] === changed ? leases : leases.with(index, changed)
}

/** Burns the nonce and raises `authorized`. */
export function raise(account: Account, voucher: LedgerVoucher): Step<VoucherRefusal> {
  if (account.status !== 'open') return { account, refusal: 'channel_closing' }
  if (voucher.amount > account.deposit) return { account, refusal: 'exceeds_deposit' }
  const nonces = NonceWindow.burn(account.nonces, voucher.nonce)
  if (!nonces) return { account, refusal: 'invalid_nonce' }
  if (voucher.amount <= account.authorized) return { account: keep({ ...account, nonces }, voucher) }
  const raised = { ...account, nonces, authorized: voucher.amount, highest: voucher }
  return { account: account.highest ? keep(raised, account.highest) : raised }
}

/**
 * Takes the voucher, then reserves the quote if the vouchers cover it. A request that is being served already, and one
 * too many, are refused before anything is burned: their vouchers are good for later.
 */
export function reserve(
  { account, leases }: ChannelRecord,
  { voucher, quote, endsAt, key }: Reservation,
): Step<
  VoucherRefusal | 'insufficient_funds' | 'idempotency_in_flight' | 'idempotency_mismatch' | 'rate_limited'
> {
  const rival = key && leases.find((lease) => lease.stage === 'live' && lease.key?.id === key.id)
  if (rival) {
    const isSame = rival.key?.fingerprint === key.fingerprint
    return { account, refusal: isSame ? 'idempotency_in_flight' : 'idempotency_mismatch' }
  }
  const raised = raise(account, voucher)
  if (raised.refusal) return raised
  // One of the same key that ran out has lost its request to this one: charged late, it would be paid for twice.
  const room = makeRoom(key ? leases.filter((lease) => lease.key?.id !== key.id) : leases)
  if (!room) return { account, refusal: 'rate_limited' }
  const lease: Lease = { nonce: voucher.nonce, held: 0n, captured: 0n, stage: 'live', endsAt, key }
  const step = hold(raised.account, lease, quote)
  return step.refusal === undefined ? { ...step, leases: room } : step
}

export type Reservation = {
  readonly voucher: LedgerVoucher
  readonly quote: bigint
  readonly endsAt: number
  readonly key: IdempotencyKey | undefined
}

/** Reserves more for a live lease. */
export function extend(
  account: Account,
  lease: Lease,
  by: bigint,
): Step<'insufficient_funds' | 'channel_closing' | 'reservation_ended'> {
  if (lease.stage !== 'live') return { account, refusal: 'reservation_ended' }
  if (account.status !== 'open') return { account, refusal: 'channel_closing' }
  return hold(account, lease, by)
}

/** Keeps a live lease until `endsAt`, if that is later. */
export function renew(account: Account, lease: Lease, endsAt: number): Step<'reservation_ended'> {
  if (lease.stage !== 'live') return { account, refusal: 'reservation_ended' }
  return { account, lease: { ...lease, endsAt: Math.max(lease.endsAt, endsAt) } }
}

/**
 * Charges `actual`, less what the lease was charged before; then ends the lease, or keeps the rest, or as much as `hold`
 * wants and the vouchers allow.
 */
export function capture(
  account: Account,
  lease: Lease,
  actual: bigint,
  { final, hold: wanted }: { final: boolean; hold?: bigint | undefined },
): Step & { readonly lease: Lease } {
  const live = lease.stage === 'live'
  // Too late, others may have spent it: only what is free can be taken, and a closing channel owes nothing more.
  const limit = live ? lease.held : account.status === 'open' ? min(lease.held, available(account)) : 0n
  const taken = max(0n, min(actual - lease.captured, limit))
  const rest = lease.held - taken
  const charged = charge({ ...account, reserved: account.reserved - (live ? lease.held : 0n) }, taken)
  const free = account.status === 'open' ? available(charged) : rest
  const kept = final ? 0n : live && wanted !== undefined ? min(wanted, max(rest, free)) : rest
  const isFirst = taken > 0n && lease.captured === 0n
  return {
    account: {
      ...charged,
      requests: isFirst ? charged.requests + 1n : charged.requests,
      reserved: charged.reserved + (live ? kept : 0n),
    },
    lease: { ...lease, held: kept, captured: lease.captured + taken, stage: final ? 'ended' : lease.stage },
  }
}

/** Takes no more vouchers. */
export function freeze(account: Account): Step {
  return { account: account.status === 'open' ? { ...account, status: 'closing' } : account }
}

/** Fixes the final amount. Nothing can change `charged` after that: no lease is live, and expired ones take nothing. */
export function finalize(account: Account): Step<'reserved' | 'claim_pending'> {
  if (account.finalAmount !== undefined) return { account }
  if (account.reserved > 0n) return { account, refusal: 'reserved' }
  const finalAmount = max(account.charged, account.claimed)
  if (account.claiming > finalAmount) return { account, refusal: 'claim_pending' }
  return { account: { ...account, finalAmount } }
}

/** Remembers that a claim of ours may take up to `amount`. */
export function beginClaim(
  account: Account,
  amount: bigint,
): Step<'channel_closed' | 'exceeds_final_amount'> {
  if (account.status === 'closed') return { account, refusal: 'channel_closed' }
  if (account.finalAmount !== undefined && amount > account.finalAmount)
    return { account, refusal: 'exceeds_final_amount' }
  return { account: amount > account.claiming ? { ...account, claiming: amount } : account }
}

/**
 * The chain paid this out; `isUnexplained` was asked before. Of a claim of ours a receipt will come, for the records; of
 * what was paid without one, none will.
 */
export function recordClaimed(
  account: Account,
  claimed: bigint,
  { hasReceipt = false }: { hasReceipt?: boolean } = {},
): Step {
  if (claimed <= account.claimed) return { account }
  const isOurs = hasReceipt || account.claiming > account.accounted
  return { account: { ...account, claimed, accounted: isOurs ? account.accounted : claimed } }
}

/**
 * Forgets announced claims, save the one that explains `claimed`. `amount`: what has been claimed since the last record,
 * and is on record now.
 */
export function endClaim(account: Account): Step & { readonly amount: bigint } {
  const { claimed, accounted, claiming } = account
  if (accounted === claimed && claiming <= claimed) return { account, amount: 0n }
  return {
    account: { ...account, accounted: claimed, claiming: min(claiming, claimed) },
    amount: claimed - accounted,
  }
}

/** Closed on chain. Its leases must have ended. */
export function close(account: Account, now: number): Step {
  if (account.status === 'closed') return { account }
  return { account: { ...account, status: 'closed', closedAt: toSeconds(now) } }
}

/**
 * Books what a step has charged on its day. When it is the first of that day, what had been charged by the end of the
 * earlier one is to be written down with it: so a day costs one more row, and a request none.
 */
export function bookDay(before: Account, after: Account, now: number): { account: Account; dayEnd?: DayEnd } {
  if (after.charged === before.charged) return { account: after }
  const { chargedOn, charged, requests } = before
  // A clock that was set back can't make a day end twice.
  const today = Math.max(Day.at(now), chargedOn ?? 0)
  if (today === chargedOn) return { account: after }
  const account = { ...after, chargedOn: today }
  return chargedOn === undefined ? { account } : { account, dayEnd: { day: chargedOn, charged, requests } }
}

/**
 * Whether the account can be forgotten: its channel expired, and was closed or never charged, long enough ago for reorgs and
 * for questions. Its id can never be served again. One that was claimed from and may still be on chain is kept: found there
 * again it would look like the claim of a ledger that lost its data. So is an alarm, until somebody has looked.
 */
export function isOver(account: Account, now: number): boolean {
  if (account.alarm || account.reserved > 0n) return false
  const longAgo = toSeconds(now) - keptAfterEnd
  // Before its expiry another process may still take a closed channel for an open one.
  if (account.expiry >= longAgo) return false
  if (account.status === 'closed') return account.closedAt !== undefined && account.closedAt < longAgo
  return account.charged === 0n && account.claimed === 0n && account.claiming === 0n
}

/** Whether an account is one of those that are asked for. */
export function matches(
  { status, charged, claimed, expiry }: Account,
  { status: wanted, unclaimedOver, due }: ChannelFilter,
): boolean {
  const unclaimed = charged - claimed
  return (
    (wanted === undefined || status === wanted) &&
    (unclaimedOver === undefined || unclaimed > unclaimedOver) &&
    (due === undefined || unclaimed >= due.unclaimed || expiry <= due.expiry || status !== 'open')
  )
}

/** What the vouchers leave for another reservation. */
export function available(account: Account): bigint {
  return account.authorized - account.charged - account.reserved
}

/** What the ledger shows of an account. */
export function toState(account: Account): ChannelState {
  const { channelId, consumer, provider, deposit, claimed, expiry, proof, status, firstSeen } = account
  const { authorized, charged, requests, reserved, claiming, finalAmount, alarm, nonces } = account
  const { highest, claimable } = account
  const nonce = nonces.highest < 0n ? undefined : nonces.highest
  // Each request makes one of these: written out, it takes a tenth of the time of leaving out the rest.
  return {
    channelId,
    consumer,
    provider,
    deposit,
    claimed,
    expiry,
    proof,
    status,
    firstSeen,
    authorized,
    charged,
    requests,
    reserved,
    claiming,
    finalAmount,
    alarm,
    nonce,
    highest,
    claimable,
  }
}

/**
 * The invariants, for every store and every operation, on the way in and out.
 * @throws LedgerInvariantError
 */
export function assertSound({ account, leases }: ChannelRecord): void {
  const { deposit, authorized, charged, reserved, claimed, claiming, finalAmount, highest, next, claimable } =
    account
  const held = leases.reduce((sum, lease) => (lease.stage === 'live' ? sum + lease.held : sum), 0n)
  const broken = [
    charged < 0n || reserved < 0n || claimed < 0n || claiming < 0n ? 'an amount is negative' : undefined,
    held !== reserved ? `leases that hold ${held}, not what is reserved` : undefined,
    leases.length > maxLeases ? 'more leases than may be' : undefined,
    leases.some((lease) => lease.held < 0n || lease.captured < 0n || lease.stage === 'ended')
      ? 'a lease that cannot be'
      : undefined,
    claimed > max(charged, claiming) ? 'claimed > charged' : undefined,
    account.accounted < 0n || account.accounted > claimed ? 'more claims on record than claimed' : undefined,
    charged + reserved > authorized ? 'charged + reserved > authorized' : undefined,
    claiming > authorized ? 'claiming > authorized' : undefined,
    authorized > deposit ? 'authorized > deposit' : undefined,
    // After an alarm `authorized` may rest on a voucher that was lost.
    (highest?.amount ?? 0n) !== authorized && !account.alarm ? 'authorized without its voucher' : undefined,
    claimable && claimable.amount > charged ? 'claimable > charged' : undefined,
    next && (next.amount <= charged || next.amount > authorized) ? 'next out of place' : undefined,
    account.status === 'open' && finalAmount !== undefined ? 'final amount of an open channel' : undefined,
    finalAmount !== undefined && finalAmount < max(charged + reserved, claimed)
      ? 'charged > final amount'
      : undefined,
  ].find((problem) => problem !== undefined)
  if (broken) throw new LedgerInvariantError(account.channelId, broken, summary(account))
}

const expire = (lease: Lease, endsAt: number): Lease => ({ ...lease, stage: 'expired', endsAt })

/** The leases with room for another: the oldest that has expired must go when there are too many. */
function makeRoom(leases: readonly Lease[]): readonly Lease[] | undefined {
  if (leases.length < maxLeases) return leases
  const oldest = leases
    .filter(({ stage }) => stage === 'expired')
    .reduce<Lease | undefined>((a, b) => (a && a.endsAt <= b.endsAt ? a : b), undefined)
  return oldest && leases.filter((lease) => lease !== oldest)
}

function withoutHeld(account: Account, leases: readonly Lease[]): Account {
  const held = leases.reduce((sum, lease) => (lease.stage === 'live' ? sum + lease.held : sum), 0n)
  return held > 0n ? { ...account, reserved: account.reserved - held } : account
}

function hold(account: Account, lease: Lease, amount: bigint): Step<'insufficient_funds'> {
  if (amount > available(account)) return { account, refusal: 'insufficient_funds' }
  return {
    account: { ...account, reserved: account.reserved + amount },
    lease: { ...lease, held: lease.held + amount },
  }
}

/** Raises `charged`, and with it the voucher that a claim of exactly its amount can use. */
function charge(account: Account, amount: bigint): Account {
  if (amount === 0n) return account
  const charged = account.charged + amount
  const covered = [account.highest, account.next].find((voucher) => voucher && voucher.amount <= charged)
  return covered ? { ...account, charged, claimable: covered, next: undefined } : { ...account, charged }
}

/** Keeps a voucher that isn't the highest, if it is or will be the best for a claim of exactly its amount. */
function keep(account: Account, voucher: LedgerVoucher): Account {
  if (voucher.amount > account.charged)
    return account.next && account.next.amount <= voucher.amount ? account : { ...account, next: voucher }
  return voucher.amount > (account.claimable?.amount ?? 0n) ? { ...account, claimable: voucher } : account
}

function summary(account: Account): string {
  return (['deposit', 'authorized', 'charged', 'reserved', 'claimed', 'claiming', 'finalAmount'] as const)
    .map((name) => `${name} ${account[name]}`)
    .join(', ')
}

const toSeconds = (now: number) => BigInt(Math.floor(now / 1000))
const max = (a: bigint, b: bigint) => (a > b ? a : b)
const min = (a: bigint, b: bigint) => (a < b ? a : b)
