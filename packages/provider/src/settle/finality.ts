import { localChains } from '../chain/ChannelReader.ts'

/** From when on a block counts as one that can't go away any more: with `depth` blocks on top of it. */
export type Finality = { depth: bigint }

/** None on a chain of one machine; elsewhere 64 blocks, or what the operator wants. */
export function finalityOf(chainId: number, depth?: bigint | undefined): Finality {
  return { depth: depth ?? (localChains.includes(chainId) ? 0n : 64n) }
}
