/** Whose Bittensor miner a provider is: the proof that the owner of a hotkey gives for its API. */
import { blake2b } from '@noble/hashes/blake2.js'
import { base58 } from '@scure/base'
import { verify } from '@scure/sr25519'

/** Of all Substrate addresses without a network of their own, Bittensor's among them. */
const prefix = 42
const keyBytes = 32
const checksumBytes = 2

/** What the owner of a hotkey signs, exactly as it is given here. */
export function hotkeyMessage(hotkey: string, apiUrl: string): string {
  return `handshake58:${hotkey}:${apiUrl}`
}

/**
 * Whether the owner of a hotkey has signed that an API is theirs: sr25519 over {@link hotkeyMessage}, bare or in `<Bytes>` as
 * wallets sign it. What is malformed is no proof. That the hotkey is a registered miner's is not checked here.
 *
 * @param hotkey SS58 address.
 * @param signature 64 bytes in hex, with `0x` or without.
 */
export function verifyHotkeyProof(proof: { hotkey: string; apiUrl: string; signature: string }): boolean {
  const publicKey = publicKeyOf(proof.hotkey)
  if (!publicKey || !/^(?:0x)?[0-9a-fA-F]{128}$/.test(proof.signature)) return false
  const signature = Buffer.from(proof.signature.replace(/^0x/, ''), 'hex')
  const message = hotkeyMessage(proof.hotkey, proof.apiUrl)
  return [message, `<Bytes>${message}</Bytes>`].some((text) => isSignedBy(publicKey, text, signature))
}

/** Whether a key has signed the UTF-8 bytes of a text (sr25519, context `substrate`). */
export function isSignedBy(publicKey: Uint8Array, text: string, signature: Uint8Array): boolean {
  try {
    return verify(new TextEncoder().encode(text), new Uint8Array(signature), publicKey)
  } catch {
    // Points that are none, and signatures of other schemes.
    return false
  }
}

/** The public key of an SS58 address with the prefix 42, or `undefined` where it isn't one. */
export function publicKeyOf(address: string): Uint8Array | undefined {
  if (typeof address !== 'string' || address.length > 50) return undefined
  let bytes: Uint8Array
  try {
    bytes = base58.decode(address)
  } catch {
    return undefined
  }
  if (bytes.length !== 1 + keyBytes + checksumBytes || bytes[0] !== prefix) return undefined
  const body = bytes.subarray(0, 1 + keyBytes)
  const checksum = blake2b(new Uint8Array([...new TextEncoder().encode('SS58PRE'), ...body]))
  if (!bytes.subarray(1 + keyBytes).every((byte, index) => byte === checksum[index])) return undefined
  const key = bytes.slice(1, 1 + keyBytes)
  // The neutral element: everybody can sign for it.
  return key.every((byte) => byte === 0) ? undefined : key
}
