/**
 * What the ledger knows about one channel, and every way it may change: pure functions from an account to the next.
 *
 * Stores read an account, let one of these decide, and write what it returns; none decides anything by itself.
 */
import type { Address, Hex } from 'viem'
import { ChannelMismatchError, LedgerInvariantError } from './Errors.ts'
import type { ChannelFacts, ChannelState, ChannelStatus, LedgerVoucher, VoucherRefusal } from './Ledger.ts'
import * as NonceWindow from './NonceWindow.ts'

export type Account = {
  readonly channelId: Hex
  readonly consumer: Address
  readonly provider: Address
  readonly deposit: bigint
  readonly expiry: bigint
  readonly firstSeen: bigint
  readonly status: ChannelStatus
  readonly authorized: bigint
  readonly charged: bigint
  readonly reserved: bigint
  readonly claimed: bigint
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
}

/** What an operation comes to: what to write, and why it was refused if it was. */
export type Step<refusal extends string = never> = {
  readonly account: Account
  readonly lease?: Lease
  readonly refusal?: refusal
}

/** How long an expired reservation can still be captured. */
const remembered = 24 * 60 * 60 * 1000

/** The account of a channel that the ledger sees for the first time, `now` on the store's clock. */
export function open(facts: ChannelFacts, now: number): Account {
  const { channelId, consumer, provider, deposit, expiry } = facts
  return {
    channelId,
    consumer,
    provider,
    deposit,
    expiry,
    firstSeen: BigInt(Math.floor(now / 1000)),
    status: 'open',
    authorized: 0n,
    charged: 0n,
    reserved: 0n,
    claimed: 0n,
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
  return facts.expiry < account.expiry ? { ...account, expiry: facts.expiry } : account
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
  return { ...freeze(charged).account, claimed, alarm: true, finalAmount: undefined }
}

/** The stage of these leases is over: what was live is no longer reserved, what was expired is forgotten. */
export function lapse(
  account: Account,
  due: readonly Lease[],
  now: number,
): { account: Account; leases: Lease[] } {
  const leases = due.map((lease) => (lease.stage === 'live' ? expire(lease, now + remembered) : end(lease)))
  return { account: withoutHeld(account, due), leases }
}

/** Ends all leases of a channel. */
export function dropLeases(account: Account, all: readonly Lease[]): { account: Account; leases: Lease[] } {
  return { account: withoutHeld(account, all), leases: all.map(end) }
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

/** Takes the voucher, then reserves the quote if the vouchers cover it. */
export function reserve(
  account: Account,
  voucher: LedgerVoucher,
  quote: bigint,
  endsAt: number,
): Step<VoucherRefusal | 'insufficient_funds'> {
  const raised = raise(account, voucher)
  if (raised.refusal) return raised
  const lease: Lease = { nonce: voucher.nonce, held: 0n, captured: 0n, stage: 'live', endsAt }
  return hold(raised.account, lease, quote)
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

/** Charges `actual`, less what the lease was charged before; then ends the lease, or keeps the rest. */
export function capture(
  account: Account,
  lease: Lease,
  actual: bigint,
  final: boolean,
): Step & { readonly lease: Lease } {
  const live = lease.stage === 'live'
  // Too late, others may have spent it: only what is free can be taken, and a closing channel owes nothing more.
  const limit = live ? lease.held : account.status === 'open' ? min(lease.held, available(account)) : 0n
  const taken = max(0n, min(actual - lease.captured, limit))
  const freed = live ? (final ? lease.held : taken) : 0n
  return {
    account: charge({ ...account, reserved: account.reserved - freed }, taken),
    lease: {
      ...lease,
      held: lease.held - taken,
      captured: lease.captured + taken,
      stage: final ? 'ended' : lease.stage,
    },
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

/** Forgets announced claims, save the one that explains `claimed`. */
export function endClaim(account: Account): Step {
  return { account: account.claiming > account.claimed ? { ...account, claiming: account.claimed } : account }
}

/** The chain paid this out; `isUnexplained` was asked before. */
export function recordClaimed(account: Account, claimed: bigint): Step {
  return { account: claimed > account.claimed ? { ...account, claimed } : account }
}

/** Closed on chain. Its leases must have ended. */
export function close(account: Account): Step {
  return { account: account.status === 'closed' ? account : { ...account, status: 'closed' } }
}

/** What the vouchers leave for another reservation. */
export function available(account: Account): bigint {
  return account.authorized - account.charged - account.reserved
}

/** What the ledger shows of an account. */
export function toState(account: Account): ChannelState {
  const { nonces, next: _, ...shown } = account
  return { ...shown, nonce: nonces.highest < 0n ? undefined : nonces.highest }
}

/**
 * The invariants, for every store and every operation, on the way in and out.
 * @throws LedgerInvariantError
 */
export function assertSound(account: Account): void {
  const { deposit, authorized, charged, reserved, claimed, claiming, finalAmount, highest, next, claimable } =
    account
  const broken = [
    charged < 0n || reserved < 0n || claimed < 0n || claiming < 0n ? 'an amount is negative' : undefined,
    claimed > max(charged, claiming) ? 'claimed > charged' : undefined,
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
const end = (lease: Lease): Lease => ({ ...lease, stage: 'ended' })

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

const max = (a: bigint, b: bigint) => (a > b ? a : b)
const min = (a: bigint, b: bigint) => (a < b ? a : b)
