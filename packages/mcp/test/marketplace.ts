/** The marketplace with one provider in it, as the static directory of the examples would list it. */
import type { LocalChain } from '@drain/consumer/testing'
import { startDirectory } from '@drain/directory'
import { openSqlite } from '@drain/directory/sqlite'
import { pino } from 'pino'
import type { LocalAccount } from 'viem'
import { registerProvider } from '../../../examples/market/src/registerProvider.ts'

export type Listing = { apiUrl: string; account: LocalAccount; id: string; description: string }

/** Registers the provider with its own signature; the connection test is all that it has to pass. */
export async function startMarketplace(
  chain: LocalChain,
  { apiUrl, account, id, description }: Listing,
): Promise<{ url: string; close(): Promise<void> }> {
  const database = await openSqlite(':memory:')
  const directory = await startDirectory({
    ...{ database, port: 0, allowLoopback: true, review: false, confirmations: 0 },
    chains: [{ deployment: chain.deployment, rpcUrl: chain.rpcUrl }],
    log: pino({ level: 'silent' }),
  })
  const links = { website: apiUrl, docsUrl: `${apiUrl}/v1/docs`, logoUrl: `${apiUrl}/logo.svg` }
  const listing = { name: id, description, apiUrl, category: 'llm', contactEmail: 'a@b.example', ...links }
  await registerProvider({ directory: directory.url, account, chainId: chain.chainId, listing })
  return {
    url: directory.url,
    async close() {
      await directory.close()
      await database.close()
    },
  }
}
