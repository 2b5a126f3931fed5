import { createRequire } from 'node:module'
import { type Address, bytesToHex, type Hex, hexToBytes, keccak256 } from 'viem'

/** libsecp256k1 itself: what signs is not what is measured, so it may be as fast as it can. */
const { ecdsaSign, publicKeyCreate } = createRequire(import.meta.url)('secp256k1/bindings') as {
  ecdsaSign(digest: Uint8Array, key: Uint8Array): { signature: Uint8Array; recid: number }
  publicKeyCreate(key: Uint8Array, compressed: boolean): Uint8Array
}

/** Signs digests with one key. */
export type Signer = { address: Address; sign(digest: Uint8Array): Hex }

/** A signer of `r‖s‖v`, v 27 or 28, low s. */
export function createSigner(privateKey: Hex): Signer {
  const key = hexToBytes(privateKey)
  const address: Address = `0x${keccak256(publicKeyCreate(key, false).subarray(1)).slice(-40)}`
  return {
    address,
    sign(digest) {
      const { signature, recid } = ecdsaSign(digest, key)
      return `0x${Buffer.from(signature).toString('hex')}${recid === 0 ? '1b' : '1c'}` as Hex
    },
  }
}

/** The key of the payer number `index`: any will do, these are the same in every process. */
export function keyOf(index: number): Hex {
  return bytesToHex(hexToBytes(keccak256(`0x${(index + 1).toString(16).padStart(4, '0')}`)))
}
