import { keccak256 as portable } from 'viem'

/**
 * What browsers get for `keccak256.ts` (`browser` in package.json): viem's own, which they load anyway. A page signs a few
 * vouchers, so that WebAssembly is not worth its size there, nor a content policy that allows it.
 */
export function keccak256(message: Uint8Array): Uint8Array {
  return portable(message, 'bytes')
}
