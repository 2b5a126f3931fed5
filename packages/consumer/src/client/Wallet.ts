import { type Deployment, DrainError } from '@drain/core'
import { type Account, type Address, type Chain, type Client, createClient, http } from 'viem'
import { parseAccount } from 'viem/utils'
import { accountOf, plainChain, type WriteParameters } from '../actions/Parameters.ts'

/** Who pays, where, and over which connection. */
export type Wallet = {
  account: Account
  deployment: Deployment.Deployment
  /** Signs and sends. */
  client: Client
  /** Reads. */
  publicClient: Client
  /** What every action of this wallet gets. */
  parameters: WriteParameters & { publicClient: Client }
  /** Runs one task at a time: transactions of one account, and allowances, must not overtake each other. */
  exclusively<T>(task: () => Promise<T>): Promise<T>
}

/**
 * @throws {DrainError} `account_missing`, `rpc_missing`
 */
export function createWallet(options: {
  account: Account | Address | undefined
  walletClient: Client | undefined
  chain: Chain | undefined
  rpcUrl: string | undefined
  deployment: Deployment.Deployment
}): Wallet {
  const { walletClient, rpcUrl, deployment } = options
  const chain =
    [options.chain, walletClient?.chain].find((one) => one?.id === deployment.chainId) ??
    plainChain(deployment.chainId)
  const connect = () => {
    if (!rpcUrl && !chain.rpcUrls.default.http[0]) {
      throw new DrainError('rpc_missing', `No way to reach chain ${deployment.chainId}.`, {
        action: 'Pass rpcUrl, or a viem chain that has one.',
      })
    }
    const polling = walletClient ? { pollingInterval: walletClient.pollingInterval } : {}
    return createClient({ chain, transport: http(rpcUrl), ...polling })
  }
  if (!walletClient && !options.account) {
    throw new DrainError('account_missing', 'No account to pay with.', {
      action: 'Pass account or walletClient.',
    })
  }
  const client = walletClient ?? connect()
  const publicClient = walletClient && rpcUrl ? connect() : client
  const account = options.account ? parseAccount(options.account) : accountOf(client, undefined)
  if (!walletClient && account.type === 'json-rpc') {
    throw new DrainError('account_missing', `An address alone (${account.address}) signs nothing.`, {
      action: 'Pass a viem account with a key, or a walletClient.',
    })
  }

  let last: Promise<unknown> = Promise.resolve()
  return {
    account,
    deployment,
    client,
    publicClient,
    parameters: { deployment, account, publicClient },
    exclusively(task) {
      const next = last.then(task, task)
      last = next.catch(() => {})
      return next
    },
  }
}
