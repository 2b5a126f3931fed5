/**
 * Session keys: a second key that may sign a channel's vouchers, fixed when the channel is opened. The contract doesn't
 * store it. Its vouchers carry the proof of the opening, from which the channel's id is computed again:
 * `signature = r‖s‖v ‖ abi.encode(kind, duration, signer, salt)`.
 */
import type { Address, Hex } from 'viem'
import { bytesToHex, hashWords, writeHex, writeUint256 } from './Bytes.ts'
import { type Channel, hashOpening, type Kind, type Opening } from './Channel.ts'
import type * as Deployment from './Deployment.ts'
import * as Signature from './Signature.ts'

/** Characters of a proof's 128 bytes in hex. */
const proofHexLength = 2 + 2 * 128

/** Whether channels of a deployment can have session keys. */
export function isSupported(deployment: Pick<Deployment.Deployment, 'features' | 'channelIds'>): boolean {
  return deployment.channelIds === 'opening' && deployment.features.includes('openWithSigner')
}

/** `abi.encode(kind, duration, signer, salt)`: what a session key appends to its signatures. */
export function encodeProof(
  opening: Pick<Opening, 'duration' | 'signer' | 'salt'>,
  kind: Kind = 'direct',
): Hex {
  const bytes = new Uint8Array(128)
  writeUint256(kind === 'direct' ? 0n : 1n, bytes, 0)
  writeUint256(opening.duration, bytes, 32)
  writeHex(opening.signer, 2, bytes, 64 + 12, 20)
  writeHex(opening.salt, 2, bytes, 96, 32)
  return bytesToHex(bytes)
}

/**
 * The session key that `proof` proves for a channel, in lower case, or `undefined` when the two don't hash to the channel's
 * id or no key was named.
 *
 * Source: `_provenSigner` of the contract. All words count whole, so a signer with bits above the address is another one.
 */
export function provenSigner(
  proof: Hex,
  channel: Pick<Channel, 'id' | 'consumer' | 'provider' | 'deposit'>,
  deployment: { chainId: number | bigint; contract: Address },
): Address | undefined {
  if (!/^0x[0-9a-f]{256}$/i.test(proof)) return undefined
  const word = (index: number) => `0x${proof.slice(2 + 64 * index, 66 + 64 * index)}` as const
  const { consumer, provider, deposit } = channel
  const [kind, duration, signerWord, salt] = [word(0), BigInt(word(1)), word(2), word(3)]
  const opening = hashOpening({ consumer, provider, amount: deposit, duration, signer: signerWord, salt })
  const id = bytesToHex(hashWords(kind, BigInt(deployment.chainId), deployment.contract, opening))
  const signer = signerNamedIn(proof)
  return id === channel.id && signer !== zeroAddress ? signer : undefined
}

const zeroAddress = '0x0000000000000000000000000000000000000000'

/** The session key that a proof names, without a look at whether it proves it. */
function signerNamedIn(proof: Hex): Address {
  return `0x${proof.slice(2 + 64 * 2 + 24, 2 + 64 * 3)}`.toLowerCase() as Address
}

/** A signature with its signer, before anything is known of the channel. */
export type Signed = {
  /** The 65 bytes. */
  signature: Hex
  /** Who made them, in lower case. */
  signer: Address
  /** The 128 bytes behind them; they name the signer, but prove nothing yet. */
  proof: Hex | undefined
}

/**
 * Takes a signature of 65 or 193 bytes apart and recovers its signer. `undefined` for what no channel can accept: another
 * length, a malformed signature, a proof that names somebody else.
 */
export function recover(
  digest: Uint8Array,
  signature: Hex,
  backend?: Signature.Secp256k1 | undefined,
): Signed | undefined {
  const own = ownPart(signature)
  return signedBy(Signature.recoverAddress(digest, own, backend), signature)
}

/** The part of a signature that was made with a key: without the proof behind it. */
export function ownPart(signature: Hex): Hex {
  return isProven(signature) ? (signature.slice(0, Signature.hexLength) as Hex) : signature
}

/** A signature whose {@link ownPart} `signer` made; `undefined` without one, or when the proof names somebody else. */
export function signedBy(signer: Address | undefined, signature: Hex): Signed | undefined {
  if (signer === undefined) return undefined
  const proof: Hex | undefined = isProven(signature) ? `0x${signature.slice(Signature.hexLength)}` : undefined
  if (proof && signerNamedIn(proof) !== signer) return undefined
  return { signature: ownPart(signature), signer, proof }
}

function isProven(signature: Hex): boolean {
  return signature.length === Signature.hexLength + proofHexLength - 2
}

/** A signature that counts on a channel. */
export type Accepted = {
  /** As the contract takes it: 65 bytes of the consumer, or 193 of the session key. */
  signature: Hex
  /** The session key's proof, when it was the one who signed. Keep it: from then on 65 bytes of it are enough. */
  proof?: Hex
}

/**
 * Judges who signed, exactly as `claim` does: the consumer with 65 bytes, or the session key with its proof behind them
 * (then nobody else, not even the consumer). A proof that was verified before need not come again: 65 bytes of its session
 * key count too, and get it appended.
 */
export function accept(
  { signature, signer, proof }: Signed,
  channel: Pick<Channel, 'id' | 'consumer' | 'provider' | 'deposit'> & {
    /** Verified before. */
    proof?: Hex | undefined
  },
  deployment: Deployment.Deployment,
): Accepted | undefined {
  if (!proof && signer === channel.consumer.toLowerCase()) return { signature }
  const proven = proof ?? channel.proof
  if (!proven || !isSupported(deployment)) return undefined
  const named = proven === channel.proof ? signerNamedIn(proven) : provenSigner(proven, channel, deployment)
  if (named !== signer) return undefined
  return { signature: `${signature}${proven.slice(2)}` as Hex, proof: proven }
}
