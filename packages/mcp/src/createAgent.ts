/** What the tools work with: one wallet, its limits and channels, and the directory. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { type ClientChannel, createDrainClient, type DrainClient, type PaymentScheme } from '@drain/consumer'
import { createWallet, openStore, readLimits, type Settings, type Wallet } from '@drain/consumer/node'
import { DrainError } from '@drain/core'
import { drainWire, evmCharge } from '@drain/mpp/client'
import { BaseError, type Hex, HttpRequestError, parseAbi } from 'viem'
import { readContract } from 'viem/actions'
import { createDirectory, type Directory } from './directory/Directory.ts'
import { createOutwardFetch } from './net/localNetwork.ts'
import { type McpSettings, readWalletSettings } from './settings.ts'

export type Agent = {
  settings: McpSettings
  directory: Directory
  /** For what an agent, the directory or a provider named; see {@link createOutwardFetch}. */
  fetch: typeof globalThis.fetch
  /**
   * Who pays. Made at the first call, so that looking around needs no key.
   *
   * @throws {DrainError} `key_missing` and others of `loadKey`; `setting_invalid`
   */
  purse(): Promise<Purse>
  /** Waits for what is being written. Closes no channel. */
  stop(): Promise<void>
}

export type Purse = {
  client: DrainClient
  wallet: Wallet
  settings: Settings
  /** Runs what sends transactions of the wallet, one after the other. */
  inTurn<result>(task: () => Promise<result>): Promise<result>
  /** Has a request paid from a channel, or not at all. */
  fromChannel<result>(task: () => Promise<result>): Promise<result>
  /** A channel that this machine knows. @throws {DrainError} `channel_unknown` */
  channel(channelId: Hex): Promise<ClientChannel>
}

export function createAgent(settings: McpSettings): Agent {
  const { env, directoryUrl, deployment } = settings
  const isLocal = deployment.chainId === localChain
  const outward = (origins: readonly string[]) =>
    createOutwardFetch({ trusted: new Set(origins), allowLoopback: isLocal })
  const fetch = outward(originsOf(readLimits(env).providers ?? []))
  // Its operator's own network may have the directory in it: for lists and reports, not for what an agent asks.
  const directory = createDirectory({
    url: directoryUrl,
    fetch: outward([directoryUrl.origin]),
    outwardFetch: fetch,
  })
  let purse: Promise<Purse> | undefined
  return {
    settings,
    directory,
    fetch,
    purse() {
      purse ??= createPurse(settings, fetch).catch((error) => {
        purse = undefined
        throw error
      })
      return purse
    },
    async stop() {
      const made = await purse?.catch(() => undefined)
      await made?.client.stop()
    },
  }
}

/** Anvil's and Hardhat's. */
const localChain = 31_337

async function createPurse(settings: McpSettings, fetch: typeof globalThis.fetch): Promise<Purse> {
  const own = await readWalletSettings(settings)
  const { account, deployment, rpcUrl, limits, stateDir } = own
  const wallet = createWallet({ account, deployment, rpcUrl, chain: undefined, walletClient: undefined })
  const schemes = await createSchemes(settings, own, wallet)
  const channelsOnly = new AsyncLocalStorage<true>()
  const client = createDrainClient({
    ...{ account, deployment, rpcUrl, fetch },
    // Last: what was opened for nothing would keep others out.
    store: await openStore(stateDir),
    wires: [drainWire()],
    schemes,
    // A channel that the agent didn't ask for would be one that it doesn't close.
    limits: {
      ...limits,
      confirm: (asked) =>
        asked.kind === 'deposit' ? asked.byHand : !(asked.single && channelsOnly.getStore()),
    },
    openingCost: never,
  })
  return {
    client,
    wallet,
    settings: own,
    inTurn: (task) => wallet.exclusively(task),
    fromChannel: (task) => channelsOnly.run(true, task),
    async channel(channelId) {
      const channel = (await client.channels()).find((one) => one.channelId === channelId)
      if (channel) return channel
      throw new DrainError('channel_unknown', `This wallet has no channel ${channelId} here.`, {
        action: 'See drain_channels; with recover it looks for channels of this wallet on the chain.',
      })
    },
  }
}

/** What no single payments would make worth a channel, in USDC: channels are opened by hand. */
const never = '1000000000'

async function createSchemes(
  { mppMethods }: McpSettings,
  own: Settings,
  wallet: Wallet,
): Promise<PaymentScheme[]> {
  const schemes: (PaymentScheme | undefined)[] = []
  for (const method of mppMethods) {
    if (method === 'tempo') schemes.push((await import('./tempo.ts')).createTempo(own.account))
    else schemes.push(await createCharge(own, wallet))
  }
  return schemes.filter((scheme) => scheme !== undefined)
}

/** Charges in the deployment's token; of one that isn't Circle's well-known USDC it is asked for its EIP-712 domain. */
async function createCharge({ account, deployment, limits }: Settings, { publicClient }: Wallet) {
  const options = { account, deployment, maxAmount: limits.perRequest }
  try {
    return evmCharge(options)
  } catch (error) {
    if (!(error instanceof DrainError) || error.code !== 'token_domain') throw error
  }
  try {
    const [name, version] = await Promise.all(
      (['name', 'version'] as const).map((functionName) =>
        readContract(publicClient, { address: deployment.token, abi: domainAbi, functionName }),
      ),
    )
    return evmCharge({ ...options, tokenDomain: { name: name as string, version: version as string } })
  } catch (error) {
    // A token that has none can't be charged. A node that is away can be asked again.
    if (error instanceof BaseError && error.walk((cause) => cause instanceof HttpRequestError)) throw error
    return undefined
  }
}

const domainAbi = parseAbi([
  'function name() view returns (string)',
  'function version() view returns (string)',
])

/** Of what may be paid: the origins among it. */
function originsOf(providers: readonly string[]): string[] {
  return providers.flatMap((one) =>
    /^https?:\/\//i.test(one) && URL.canParse(one) ? [new URL(one).origin] : [],
  )
}
