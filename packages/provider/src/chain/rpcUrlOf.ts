import { Deployment, DrainError } from '@drain/core'

/** The node to ask: the given one, or a public one of a known chain. @throws {DrainError} `rpc_missing` */
export function rpcUrlOf({ chainId, rpcUrl }: { chainId: number; rpcUrl?: string | undefined }): string {
  const url = rpcUrl ?? Deployment.publicRpcUrls[chainId]
  if (url) return url
  throw new DrainError('rpc_missing', `No node is known for chain ${chainId}.`, { action: 'Pass rpcUrl.' })
}
