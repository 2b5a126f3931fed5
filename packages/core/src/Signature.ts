/**
 * Plain ECDSA over secp256k1 as the contract accepts it, and nothing else: 65 bytes, v 27 or 28, low s, a signer.
 * A looser check off chain is free service: what it accepts can never be claimed.
 */
import { secp256k1 } from '@noble/curves/secp256k1'
import { type Address, type Hex, keccak256 } from 'viem'
import { bytesToHex, hexToBytes } from './Bytes.ts'

/** Recovers public keys; the place where a faster library plugs in. Returns the uncompressed key of 65 bytes. */
export type Secp256k1 = {
  name: string
  recoverPublicKey(digest: Uint8Array, rs: Uint8Array, recovery: 0 | 1): Uint8Array | undefined
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
}

const halfOrder = secp256k1.CURVE.n >> 1n

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
  if (!/^0x[0-9a-fA-F]{130}$/.test(signature)) return undefined
  const v = Number.parseInt(signature.slice(130), 16)
  if (v !== 27 && v !== 28) return undefined
  if (BigInt(`0x${signature.slice(66, 130)}`) > halfOrder) return undefined
  const rs = hexToBytes(signature.slice(0, 130) as Hex)
  const publicKey = backend.recoverPublicKey(digest, rs, v === 27 ? 0 : 1)
  if (!publicKey) return undefined
  return bytesToHex(keccak256(publicKey.subarray(1), 'bytes').subarray(12))
}

/** Whether `address` made `signature` over `digest`, by the contract's rules. */
export function isValid(digest: Uint8Array, signature: Hex, address: Address, backend?: Secp256k1): boolean {
  return recoverAddress(digest, signature, backend) === address.toLowerCase()
}
