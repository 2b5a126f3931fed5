/** What the provider's processes and the books go by. */
export const settings = {
  chainId: 31_337,
  /** Blocks on top of one that can't go away any more: reorganisations are shorter. */
  finality: 3n,
  confirmations: 1n,
  feeBps: 200,
  /** USDC. What a channel owes less than that at its end may stay unclaimed. */
  minPayout: '0.002',
  threshold: '0.05',
  interval: '2s',
  /** USDC for a coin of the chain, so that gas costs next to nothing. */
  nativePrice: '0.01',
  terms: { minDeposit: '0.02', minDuration: '2m' },
  adminToken: 'soak',
}

/** What each process of the provider is started with. */
export type ProcessInput = {
  privateKey: `0x${string}`
  path: string
  rpcUrl: string
  contract: `0x${string}`
  token: `0x${string}`
  port: number
  /** Milliseconds that the run's clock is ahead of the machine's. */
  aheadMs: number
}
