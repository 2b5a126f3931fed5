import { Deployment, DrainError } from '@drain/core'

/** Nodes, the preferred one first: a URL, several in one text with commas or white space between them, or a list. */
export type RpcUrls = string | readonly string[]

/**
 * Nodes, or a function that says which: it is asked again every few seconds, so that they can be exchanged while the process
 * runs. What it can't say is as before.
 */
export type RpcUrlInput = RpcUrls | (() => RpcUrls | undefined)

/** The nodes to ask: the given ones, or a public one of a known chain. @throws {DrainError} `rpc_missing` */
export function rpcUrlOf({
  chainId,
  rpcUrl,
}: {
  chainId: number
  rpcUrl?: RpcUrlInput | undefined
}): RpcUrlInput {
  const urls = rpcUrl ?? Deployment.publicRpcUrls[chainId]
  if (typeof urls === 'function' || urls?.length) return urls
  throw new DrainError('rpc_missing', `No node is known for chain ${chainId}.`, { action: 'Pass rpcUrl.' })
}

/**
 * One URL after the other, each once. @throws {DrainError} `rpc_url_invalid`, without repeating what was given: URLs of nodes
 * carry keys.
 */
export function parseRpcUrls(input: RpcUrls): string[] {
  const texts = [input].flat().flatMap((text) => text.trim().split(/[\s,]+(?=https?:\/\/)/i))
  const urls = [...new Set(texts.map((text) => text.replace(/,$/, '')).filter((text) => text !== ''))]
  for (const [index, url] of urls.entries()) {
    if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) continue
    throw new DrainError(
      'rpc_url_invalid',
      `URL ${index + 1} of ${urls.length} of the nodes is no http or https URL.`,
      { action: 'Correct rpcUrl. Several stand one after another, with commas between them.' },
    )
  }
  return urls
}
