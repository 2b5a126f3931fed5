import { type Chain, defineChain } from 'viem'

/** viem's description of a chain that is reached through a transport of its own: transactions are signed for it and no other. */
export function chainOf(chainId: number): Chain {
  return defineChain({
    id: chainId,
    name: `chain ${chainId}`,
    nativeCurrency: { name: 'native', symbol: 'native', decimals: 18 },
    rpcUrls: { default: { http: [] } },
  })
}
