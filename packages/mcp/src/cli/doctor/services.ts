/** Whom the server finds, and how it pays single requests. */
import type { Account } from 'viem'
import { createDirectory } from '../../directory/Directory.ts'
import { createOutwardFetch } from '../../net/localNetwork.ts'
import type { McpSettings } from '../../settings.ts'
import type { Finding } from './Report.ts'

export async function checkDirectory({ directoryUrl: url, deployment }: McpSettings): Promise<Finding> {
  const { chainId } = deployment
  const fetch = createOutwardFetch({ trusted: new Set([url.origin]), allowLoopback: false })
  const directory = createDirectory({ url, fetch, outwardFetch: fetch })
  const { providers } = await directory.list({ onlineOnly: false, limit: 200 })
  const online = providers.filter(({ status }) => status.online)
  const here = online.filter((one) => one.protocol === 'mpp' || (one.chainId ?? chainId) === chainId)
  const detail = `${url.origin} lists ${count(providers.length)}, ${online.length} online`
  if (here.length > 0) return { status: 'ok', detail }
  const problem = online.length > 0 ? `, none of them on chain ${chainId}` : ''
  const next = 'Name a provider by its URL, or set DRAIN_DIRECTORY_URL to another directory.'
  return { status: 'warning', detail: detail + problem, next }
}

function count(providers: number): string {
  return providers === 1 ? '1 provider' : `${providers} providers`
}

export async function checkMethods(
  { mppMethods, deployment }: McpSettings,
  account: Account | undefined,
): Promise<Finding> {
  const ways: string[] = []
  for (const method of mppMethods) {
    if (method === 'tempo') {
      const { createTempo } = await import('../../tempo.ts')
      if (account) createTempo(account)
      ways.push("tempo (with the USDC that this wallet's address has on Tempo)")
    } else ways.push(`evm (with USDC on chain ${deployment.chainId})`)
  }
  if (ways.length > 0) return { status: 'ok', detail: ways.join(', ') }
  const next = 'Set DRAIN_MPP_METHODS to evm, tempo, or both.'
  return { status: 'warning', detail: 'none: only channels are paid from', next }
}
