/** All providers of this folder. */
import { join } from 'node:path'
import { Pricing } from '@drain-protocol/sdk'
import { sqliteLedger } from '@drain-protocol/sdk/sqlite'
import type { LocalAccount } from 'viem'
import { startCompression } from './compression.ts'
import { startExampleUpstream } from './exampleUpstream.ts'
import { startJobs } from './jobs.ts'
import type { Listed } from './listing.ts'
import { startLlmProxy } from './llmProxy.ts'
import type { ProviderOptions, RunningProvider } from './provider.ts'
import { startSandbox } from './sandbox.ts'
import { startSimulation } from './simulation.ts'
import { startTextTools } from './textTools.ts'
import { startUpstreamModels } from './upstreamModels.ts'

export type RunningProviders = {
  /** As a directory is told of them, with the account that each is paid on. */
  providers: (Listed & { id: string; account: LocalAccount })[]
  close(): Promise<void>
}

/**
 * Starts one after the other, each on an account of its own, with a ledger in `folder`, on `port` and those behind it. 0 takes free
 * ones.
 *
 * @param accounts At least seven, with gas.
 */
export async function startProviders({
  accounts,
  folder,
  port,
  ...chain
}: Omit<ProviderOptions, 'account' | 'ledger' | 'port'> & {
  accounts: readonly LocalAccount[]
  folder: string
  port: number
}): Promise<RunningProviders> {
  const upstreamServer = await startExampleUpstream()
  const upstream = { baseUrl: upstreamServer.baseUrl, apiKey: 'none' }
  const parrot = Pricing.perToken({ inputPer1k: '0.001', outputPer1k: '0.002', defaultMaxTokens: 256 })
  const prices = new Map([['parrot-small', parrot]])

  type Kind = Omit<Listed, 'url'> & { id: string; start(options: ProviderOptions): Promise<RunningProvider> }
  const kinds: Kind[] = [
    {
      ...{ id: 'llm-proxy', category: 'llm', description: 'A language model' },
      start: (options) => startLlmProxy({ ...options, upstream, prices }),
    },
    {
      id: 'text-tools',
      category: 'data',
      description: 'Counts words, converts units',
      start: startTextTools,
    },
    { id: 'jobs', category: 'data', description: 'Counts primes, in jobs', start: startJobs },
    { id: 'compression', category: 'data', description: 'Compresses files', start: startCompression },
    { id: 'simulation', category: 'data', description: 'Random walks, by time', start: startSimulation },
    {
      ...{ id: 'upstream-models', category: 'llm', description: 'All models of an upstream' },
      start: (options) => startUpstreamModels({ ...options, upstream }),
    },
    { id: 'sandbox', category: 'code', description: 'Runs JavaScript safely', start: startSandbox },
  ]

  const running: { close(): Promise<void> }[] = [upstreamServer]
  const close = async () => {
    await Promise.all(running.splice(0).map((one) => one.close()))
  }
  try {
    const providers: RunningProviders['providers'] = []
    for (const [index, { start, ...listed }] of kinds.entries()) {
      const account = accounts[index]
      if (!account) throw new Error(`There are ${accounts.length} accounts for ${kinds.length} providers.`)
      const ledger = sqliteLedger(join(folder, `${listed.id}.db`))
      const provider = await start({ ...chain, account, ledger, port: port && port + index })
      running.push(provider)
      providers.push({ ...listed, url: provider.url, account })
    }
    return { providers, close }
  } catch (error) {
    await close()
    throw error
  }
}
