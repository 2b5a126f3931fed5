/** Fixed-layout bytes of 256-bit words, as EIP-712 and the ABI lay them out. */
import { bytesToHex, type Hex, hexToBytes, keccak256 } from 'viem'

/** One keccak-256 over 32-byte words: hex of 32 bytes, addresses (left-padded) or unsigned integers. */
export function hashWords(...words: (Hex | bigint | Uint8Array)[]): Uint8Array {
  const bytes = new Uint8Array(words.length * 32)
  words.forEach((word, index) => {
    const value =
      word instanceof Uint8Array ? word : typeof word === 'bigint' ? uint256(word) : hexToBytes(word)
    bytes.set(value, (index + 1) * 32 - value.length)
  })
  return keccak256(bytes, 'bytes')
}

/** EIP-712: keccak256(0x19 0x01 ‖ domain separator ‖ struct hash). */
export function typedDataDigest(domainSeparator: Uint8Array, structHash: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(66)
  bytes[0] = 0x19
  bytes[1] = 0x01
  bytes.set(domainSeparator, 2)
  bytes.set(structHash, 34)
  return keccak256(bytes, 'bytes')
}

function uint256(value: bigint): Uint8Array {
  if (value < 0n || value >= 2n ** 256n) throw new RangeError(`${value} does not fit in uint256`)
  return hexToBytes(`0x${value.toString(16).padStart(64, '0')}`)
}

export { bytesToHex, hexToBytes }
