/** The nodes that the directory asks. */
import type { Deployment } from '@drain/core'
import { createPublicClient, http, type PublicClient } from 'viem'
import type { ChainSettings } from '../settings.ts'

export type ChainClient = { deployment: Deployment.Deployment; client: PublicClient }

const patienceMs = 10_000

/** One for each chain of the settings. Nothing is asked yet. */
export function createChainClients(chains: readonly ChainSettings[]): ChainClient[] {
  return chains.map(({ deployment, rpcUrl }) => ({
    deployment,
    client: createPublicClient({
      transport: http(rpcUrl, { timeout: patienceMs, retryCount: 1 }),
      cacheTime: 0,
    }),
  }))
}
