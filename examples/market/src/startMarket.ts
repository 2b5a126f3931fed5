/** A directory on a local chain, with the example providers in it. */
import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { LocalChain } from '@drain/consumer/testing'
import { type Directory, startDirectory } from '@drain/directory'
import { openSqlite } from '@drain/directory/sqlite'
import { pino } from 'pino'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { startProviders } from '../../providers/src/startProviders.ts'
import { approveProvider, registerProvider } from './registerProvider.ts'

export type Market = {
  directory: Directory
  /** Of the providers, in the directory. */
  ids: string[]
  operatorToken: string
  close(): Promise<void>
}

/**
 * Starts a directory without providers: SQLite in `folder`, whoever registers waits for an operator. For trying it: it lists servers on
 * this machine, and takes payments for final at once.
 */
export async function startEmptyMarket({
  chain,
  folder,
  port = 0,
  probeEveryMs = 60_000,
}: {
  chain: LocalChain
  folder: string
  /** 0 takes a free one. */
  port?: number
  probeEveryMs?: number
}): Promise<Omit<Market, 'ids'>> {
  const operatorToken = randomBytes(24).toString('base64url')
  const database = await openSqlite(join(folder, 'directory.db'))
  const directory = await startDirectory({
    ...{ database, port, probeEveryMs, allowLoopback: true, confirmations: 0 },
    chains: [{ deployment: chain.deployment, rpcUrl: chain.rpcUrl }],
    operators: { addresses: [], tokenHash: createHash('sha256').update(operatorToken).digest('hex') },
    prober: privateKeyToAccount(generatePrivateKey()),
    log: pino({ level: 'warn' }),
  })
  return {
    ...{ directory, operatorToken },
    async close() {
      await directory.close()
      await database.close()
    },
  }
}

/** Starts a directory, and the seven example providers, which register there and are approved. */
export async function startMarket(options: Parameters<typeof startEmptyMarket>[0]): Promise<Market> {
  const { chain, folder, port = 0 } = options
  const market = await startEmptyMarket(options)
  const { url } = market.directory
  const { chainId, rpcUrl, deployment } = chain
  const { providers, close } = await startProviders({
    ...{ chainId, rpcUrl, contractAddress: deployment.contract, usdcAddress: deployment.token },
    ...{ accounts: chain.accounts.slice(2), folder, port: port && port + 1, log: () => {} },
  })
  const ids: string[] = []
  for (const { account, ...provider } of providers) {
    const listing = {
      ...{
        name: provider.id,
        description: provider.description ?? '',
        category: provider.category ?? 'other',
      },
      ...{ apiUrl: provider.url, website: `${provider.url}/`, docsUrl: `${provider.url}/v1/docs` },
      ...{ logoUrl: `${url}/favicon.svg`, contactEmail: `${provider.id}@market.example` },
    }
    const { id } = await registerProvider({ directory: url, account, chainId, listing })
    await approveProvider(url, id, market.operatorToken)
    ids.push(id)
  }
  return {
    ...{ ...market, ids },
    async close() {
      await Promise.all([market.close(), close()])
    },
  }
}
