/** Where the page pays. The build says on which chain, with which contract: a link must not be able to change that. */
import type { Address } from 'viem'

const query = new URLSearchParams(location.search)
const env = import.meta.env

export const settings = {
  /** Origin of the provider; a link may name another one, which the page shows. */
  origin: new URL(query.get('provider') ?? env.VITE_PROVIDER ?? 'http://127.0.0.1:3000').origin,
  model: query.get('model') ?? env.VITE_MODEL ?? 'drain-local',
  chainId: Number(env.VITE_CHAIN_ID ?? 137),
  rpcUrl: env.VITE_RPC_URL,
  /** The chain's known ones by default. */
  contract: env.VITE_CONTRACT as Address | undefined,
  usdc: env.VITE_USDC as Address | undefined,
  /** USDC that a channel locks. */
  deposit: '1',
}

declare global {
  interface ImportMeta {
    readonly env: Record<string, string | undefined>
  }
}
