/** What most tests of the client begin with: a chain for their file, and for each of them an honest provider, made to lie by some. */
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { createDrainClient, type DrainClient, type DrainClientOptions } from '../src/index.ts'
import { type LocalChain, startLocalChain } from '../src/testing/index.ts'
import { startTestProvider, type TestProvider } from './TestProvider.ts'

export let chain: LocalChain
export let provider: TestProvider

/** Starts them. What a file's own hooks do comes after that. */
export function setUp(): void {
  beforeAll(async () => {
    chain = await startLocalChain()
  })
  afterAll(() => chain.close())
  beforeEach(async () => {
    provider = await startTestProvider(chain, chain.accounts[1])
  })
  afterEach(() => provider.close())
}

export type CreateClient = (options?: Partial<DrainClientOptions>) => DrainClient

/** Makes clients of the chain's first account, with options of a file's own, of which each client may have others. */
export function clientsWith(own: () => Partial<DrainClientOptions>): CreateClient {
  return (options) =>
    createDrainClient({
      walletClient: chain.walletClient(chain.accounts[0]),
      deployment: chain.deployment,
      limits: { perRequest: '0.05', perChannel: '5' },
      ...own(),
      ...options,
    })
}

export const createClient = clientsWith(() => ({}))

export const url = (path: string) => `${provider.origin}${path}`

/** What the provider was promised, in the order in which that came. */
export const amounts = () => provider.vouchers().map(({ amount }) => amount)
