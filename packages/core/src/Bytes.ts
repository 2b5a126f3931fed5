/** Fixed-layout bytes of 256-bit words, as EIP-712 and the ABI lay them out. */
import { bytesToHex, type Hex, hexToBytes } from 'viem'
import { keccak256 } from './keccak256.ts'

/** One keccak-256 over 32-byte words: hex of 32 bytes, addresses (left-padded) or unsigned integers. */
export function hashWords(...words: (Hex | bigint | Uint8Array)[]): Uint8Array {
  const bytes = new Uint8Array(words.length * 32)
  words.forEach((word, index) => {
    if (typeof word === 'bigint') {
      writeUint256(word, bytes, index * 32)
      return
    }
    const value = word instanceof Uint8Array ? word : hexToBytes(word)
    bytes.set(value, (index + 1) * 32 - value.length)
  })
  return keccak256(bytes)
}

/** EIP-712: keccak256(0x19 0x01 ‖ domain separator ‖ struct hash). */
export function typedDataDigest(domainSeparator: Uint8Array, structHash: Uint8Array): Uint8Array {
  typedDataLayout.set(domainSeparator, 2)
  typedDataLayout.set(structHash, 34)
  return keccak256(typedDataLayout)
}

/** Filled and hashed in one go each time, so one is enough. */
const typedDataLayout = new Uint8Array(66)
typedDataLayout[0] = 0x19
typedDataLayout[1] = 0x01

/** Writes 32 bytes, big-endian. @throws {RangeError} */
export function writeUint256(value: bigint, target: Uint8Array, offset: number): void {
  if (value < 0n || value > maxUint256) throw new RangeError(`${value} does not fit in uint256`)
  const view = new DataView(target.buffer, target.byteOffset + offset, 32)
  if (value <= maxUint64) {
    target.fill(0, offset, offset + 24)
    view.setBigUint64(24, value)
    return
  }
  for (let limb = 0; limb < 4; limb++) view.setBigUint64(limb * 8, value >> BigInt(192 - 64 * limb)) // takes it mod 2^64
}

/**
 * Writes `length` bytes of hex from character `from` on into `target` at `offset`.
 *
 * @throws {RangeError} When a character is missing or no hex digit.
 */
export function writeHex(
  hex: string,
  from: number,
  target: Uint8Array,
  offset: number,
  length: number,
): void {
  let seen = 0
  for (let index = 0; index < length; index++) {
    const high = digits[hex.charCodeAt(from + 2 * index)] ?? -1
    const low = digits[hex.charCodeAt(from + 2 * index + 1)] ?? -1
    seen |= high | low
    target[offset + index] = (high << 4) | low
  }
  if (seen < 0) throw new RangeError(`There are no ${length} bytes of hex.`)
}

/** What an ASCII character is worth as a hex digit; -1 for none. */
const digits = new Int8Array(128).fill(-1)
for (let value = 0; value < 16; value++) {
  const digit = value.toString(16)
  digits[digit.charCodeAt(0)] = value
  digits[digit.toUpperCase().charCodeAt(0)] = value
}

const maxUint256 = 2n ** 256n - 1n
const maxUint64 = 2n ** 64n - 1n

export { bytesToHex, hexToBytes, keccak256 }
