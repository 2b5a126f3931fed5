/**
 * Plain ECDSA over secp256k1 as the contract accepts it, and nothing else: 65 bytes, v 27 or 28, low s, a signer.
 * A looser check off chain is free service: what it accepts can never be claimed.
 */
import { secp256k1 } from '@noble/curves/secp256k1'
import type { Address, Hex } from 'viem'
import { bytesToHex, keccak256, writeHex, writeUint256 } from './Bytes.ts'
import { DrainError, InvalidFormatError } from './Errors.ts'

/** Signs, and recovers public keys; the place where a faster library plugs in. All of them give the same bytes. */
export type Secp256k1 = {
  /** Which library it is, for logs and metrics. */
  readonly name: string
  /**
   * The uncompressed key of 65 bytes, or `undefined` when r or s is zero or not below the group order, r is no x of a point,
   * or the key would be the point at infinity.
   *
   * @param digest 32 bytes
   * @param rs 64 bytes, only read during the call
   */
  recoverPublicKey(digest: Uint8Array, rs: Uint8Array, recovery: 0 | 1): Uint8Array | undefined
  /**
   * Signs with a nonce by RFC 6979, so that the same digest and key always give the same signature, and with a low s.
   *
   * @param digest 32 bytes, a number below the group order
   * @param privateKey 32 bytes, only read during the call
   * @throws {DrainError} `key_invalid` for a key that is zero or not below the group order. The error doesn't repeat it.
   */
  sign(digest: Uint8Array, privateKey: Uint8Array): Signed
}

/** A signature in parts. */
export type Signed = {
  /** r‖s, 64 bytes. */
  rs: Uint8Array
  recovery: 0 | 1
}

/** The audited JavaScript implementation that viem itself uses. Works everywhere. */
export const noble: Secp256k1 = {
  name: 'noble',
  recoverPublicKey(digest, rs, recovery) {
    try {
      return secp256k1.Signature.fromCompact(rs)
        .addRecoveryBit(recovery)
        .recoverPublicKey(digest)
        .toRawBytes(false)
    } catch {
      return undefined
    }
  },
  sign(digest, privateKey) {
    let signature: ReturnType<typeof secp256k1.sign>
    try {
      signature = secp256k1.sign(digest, privateKey, { lowS: true })
    } catch {
      throw invalidKey()
    }
    return { rs: signature.toCompactRawBytes(), recovery: recoveryBit(signature.recovery) }
  },
}

/** For backends: what they throw instead of their library's error, which may quote the key. */
export function invalidKey(): DrainError {
  return new DrainError('key_invalid', 'This is no private key.', {
    action: 'A private key is 0x and 64 hex digits, and below the order of secp256k1.',
  })
}

/** For backends: an r above the group order, which makes it 2 or 3, takes 2^127 signatures to find. */
export function recoveryBit(recovery: number): 0 | 1 {
  if (recovery === 0 || recovery === 1) return recovery
  throw new DrainError('unusable_signature', 'The contract takes no signature of this form.', {
    action: 'Sign something else.',
  })
}

/**
 * The signature of 65 bytes that the contract accepts: r‖s‖v, low s, v 27 or 28.
 *
 * @param digest 32 bytes
 * @param privateKey 32 bytes, only read during the call
 * @throws {DrainError} `key_invalid`
 */
export function sign(digest: Uint8Array, privateKey: Uint8Array, backend: Secp256k1 = noble): Hex {
  // Native code is given both as they are, and reads as many bytes as it expects.
  if (digest.length !== 32) throw new InvalidFormatError('digest', `it has ${digest.length} bytes, not 32`)
  if (privateKey.length !== 32) throw invalidKey()
  const { rs, recovery } = backend.sign(belowOrder(digest), privateKey)
  rsv.set(rs)
  rsv[64] = 27 + recovery
  return bytesToHex(rsv)
}

/** Characters of 65 bytes in hex. */
export const hexLength = 2 + 2 * 65

/**
 * The signer's address in lower case, or `undefined` for every signature that the contract refuses.
 *
 * Source: `DrainChannel`, EIP-2 (low s).
 */
export function recoverAddress(
  digest: Uint8Array,
  signature: Hex,
  backend: Secp256k1 = noble,
): Address | undefined {
  const recovery = parse(signature, rs)
  const publicKey = recovery === undefined ? undefined : backend.recoverPublicKey(digest, rs, recovery)
  return publicKey && addressOf(publicKey)
}

/**
 * Writes r‖s, 64 bytes, into `target` and returns the recovery bit; or `undefined` for a signature that the contract refuses,
 * whoever signed. With {@link addressOf}, for a key that is recovered elsewhere: {@link recoverAddress} does both.
 */
export function parse(signature: Hex, target: Uint8Array): 0 | 1 | undefined {
  if (signature.length !== hexLength || !signature.startsWith('0x')) return undefined
  try {
    writeHex(signature, 2, rsv, 0, 65)
  } catch {
    return undefined
  }
  const v = rsv[64]
  if (v !== 27 && v !== 28) return undefined
  // Backends refuse these too, but for the last: high s is good ECDSA, and only EIP-2 forbids it.
  if (isZero(rsv, 0) || isZero(rsv, 32) || !isBelow(rsv, 0, order) || !isBelow(rsv, 32, highS))
    return undefined
  target.set(rsInRsv)
  return v === 27 ? 0 : 1
}

/** The address of an uncompressed public key of 65 bytes, in lower case. */
export function addressOf(publicKey: Uint8Array): Address {
  return bytesToHex(keccak256(publicKey.subarray(1)).subarray(12))
}

/** Whether `address` made `signature` over `digest`, by the contract's rules. */
export function isValid(digest: Uint8Array, signature: Hex, address: Address, backend?: Secp256k1): boolean {
  return recoverAddress(digest, signature, backend) === address.toLowerCase()
}

/** Decoded, checked and recovered from in one go each time, so one of each is enough. */
const rsv = new Uint8Array(65)
const rsInRsv = rsv.subarray(0, 64)
const rs = new Uint8Array(64)

const order = word(secp256k1.CURVE.n)
const highS = word((secp256k1.CURVE.n >> 1n) + 1n)

function word(value: bigint): Uint8Array {
  const bytes = new Uint8Array(32)
  writeUint256(value, bytes, 0)
  return bytes
}

/**
 * The digest that ECDSA signs as the same. RFC 6979 makes the nonce of this one (2.3.4, bits2octets); libsecp256k1 takes the digest
 * as it is, and would give another signature.
 */
function belowOrder(digest: Uint8Array): Uint8Array {
  return isBelow(digest, 0, order) ? digest : word(BigInt(bytesToHex(digest)) - secp256k1.CURVE.n)
}

/** Whether the 32 bytes at `offset` are a smaller number than `bound`. */
function isBelow(bytes: Uint8Array, offset: number, bound: Uint8Array): boolean {
  for (let index = 0; index < 32; index++) {
    const difference = (bytes[offset + index] ?? 0) - (bound[index] ?? 0)
    if (difference !== 0) return difference < 0
  }
  return false
}

function isZero(bytes: Uint8Array, offset: number): boolean {
  for (let index = 0; index < 32; index++) if (bytes[offset + index] !== 0) return false
  return true
}
