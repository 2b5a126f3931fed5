import type { Hex } from 'viem'
import type { Account, Lease } from './Account.ts'
import type { LedgerVoucher } from './Ledger.ts'
import type { ChannelRecord } from './LedgerStore.ts'

/** What of a record no query looks at: kept in one blob, since it is read and written with every request. */
export type Rest = Pick<
  Account,
  | 'consumer'
  | 'proof'
  | 'firstSeen'
  | 'accounted'
  | 'claiming'
  | 'finalAmount'
  | 'nonces'
  | 'highest'
  | 'next'
  | 'claimable'
> & { leases: readonly Lease[] }

/** Which optional parts follow. */
const has = { proof: 1, finalAmount: 2, highest: 4, next: 8, claimable: 16, claimableIsHighest: 32 }
const leaseHas = { expired: 1, key: 2 }

/** Room for the largest record: three vouchers, their proof, and as many leases as may be, with keys. */
const scratch = Buffer.alloc(512 * 1024)
/** Writes 64 bits at once, where a Buffer takes a bigint to pieces. */
const view = new DataView(scratch.buffer, scratch.byteOffset, scratch.length)

/** The blob of a record. It is valid until the next call: bind it, don't keep it. */
export function encodeRest({ account, leases }: ChannelRecord): Buffer {
  const { proof, finalAmount, nonces, highest, next, claimable } = account
  const isSame = claimable !== undefined && claimable === highest
  scratch[0] =
    (proof === undefined ? 0 : has.proof) |
    (finalAmount === undefined ? 0 : has.finalAmount) |
    (highest ? has.highest : 0) |
    (next ? has.next : 0) |
    (claimable ? (isSame ? has.claimableIsHighest : has.claimable) : 0)
  let end = 1
  const int = (value: bigint) => {
    view.setBigInt64(end, value, true)
    end += 8
  }
  /** At most 65,535 bytes, with their number before them. */
  const bytes = (hex: string, from = 2, to = hex.length) => {
    const length = (to - from) >> 1
    scratch.writeUInt16LE(length, end)
    end += 2 + scratch.write(from === 0 && to === hex.length ? hex : hex.slice(from, to), end + 2, 'hex')
  }
  /** A signature that ends with the channel's proof is kept without it. */
  const voucher = ({ amount, nonce, signature }: LedgerVoucher) => {
    int(amount)
    int(nonce)
    const isProven =
      proof !== undefined && signature.length > proof.length && signature.endsWith(proof.slice(2))
    scratch[end++] = isProven ? 1 : 0
    bytes(signature, 2, isProven ? signature.length - proof.length + 2 : signature.length)
  }

  bytes(account.consumer)
  int(account.firstSeen)
  int(account.accounted)
  int(account.claiming)
  int(nonces.highest)
  const seen = nonces.seen === 0n ? '' : nonces.seen.toString(16)
  bytes(seen.length % 2 === 0 ? seen : `0${seen}`, 0)
  if (proof !== undefined) bytes(proof)
  if (finalAmount !== undefined) int(finalAmount)
  if (highest) voucher(highest)
  if (next) voucher(next)
  if (claimable && !isSame) voucher(claimable)
  end = scratch.writeUInt16LE(leases.length, end)
  for (const { nonce, held, captured, stage, endsAt, key } of leases) {
    scratch[end++] = (stage === 'expired' ? leaseHas.expired : 0) | (key ? leaseHas.key : 0)
    int(nonce)
    int(held)
    int(captured)
    end = scratch.writeDoubleLE(endsAt, end)
    if (key) {
      bytes(key.id)
      bytes(key.fingerprint)
    }
  }
  return scratch.subarray(0, end)
}

/** @throws RangeError when the blob is shorter than it says; what else may be wrong with it, `assertSound` finds. */
export function decodeRest(blob: Buffer): Rest {
  const view = new DataView(blob.buffer, blob.byteOffset, blob.length)
  const flags = blob.readUInt8(0)
  let at = 1
  const int = (): bigint => {
    at += 8
    return view.getBigInt64(at - 8, true)
  }
  const bytes = (): string => {
    const start = at + 2
    at = start + blob.readUInt16LE(at)
    if (at > blob.length) throw new RangeError('The record is cut off.')
    return blob.toString('hex', start, at)
  }
  const hex = (): Hex => `0x${bytes()}`
  const voucher = (): LedgerVoucher => {
    const amount = int()
    const nonce = int()
    const isProven = blob.readUInt8(at++) === 1
    const signature = hex()
    return { amount, nonce, signature: isProven && proof ? `${signature}${proof.slice(2)}` : signature }
  }
  const consumer = hex()
  const firstSeen = int()
  const accounted = int()
  const claiming = int()
  const highestNonce = int()
  const seen = bytes()
  const proof = flags & has.proof ? hex() : undefined
  const finalAmount = flags & has.finalAmount ? int() : undefined
  const highest = flags & has.highest ? voucher() : undefined
  const next = flags & has.next ? voucher() : undefined
  const claimable = flags & has.claimableIsHighest ? highest : flags & has.claimable ? voucher() : undefined
  const count = blob.readUInt16LE(at)
  at += 2
  const leases: Lease[] = []
  for (let index = 0; index < count; index++) {
    const leaseFlags = blob.readUInt8(at++)
    const nonce = int()
    const held = int()
    const captured = int()
    const endsAt = blob.readDoubleLE(at)
    at += 8
    const key = leaseFlags & leaseHas.key ? { id: hex(), fingerprint: hex() } : undefined
    const stage = leaseFlags & leaseHas.expired ? 'expired' : 'live'
    leases.push({ nonce, held, captured, stage, endsAt, key })
  }
  if (at !== blob.length) throw new RangeError('The record is longer than it says.')
  return {
    ...{ consumer, proof, firstSeen, accounted, claiming, finalAmount },
    nonces: { highest: highestNonce, seen: seen === '' ? 0n : BigInt(`0x${seen}`) },
    ...{ highest, next, claimable, leases },
  }
}
