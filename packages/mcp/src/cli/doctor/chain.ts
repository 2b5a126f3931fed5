/** What a node says. Of its URL only the host is told. */
import { getAllowance, getUsdcBalance } from '@drain/consumer'
import { Deployment, DrainError, Usdc } from '@drain/core'
import {
  type Account,
  type Address,
  type Client,
  createClient,
  formatEther,
  http,
  isAddressEqual,
  parseAbi,
} from 'viem'
import { getBalance, getChainId, getCode, getGasPrice, readContract } from 'viem/actions'
import type { McpSettings } from '../../settings.ts'
import type { Finding } from './Report.ts'

/** How long a node may take, in milliseconds. */
const patience = 10_000

export async function checkRpc({ deployment, rpcUrl }: McpSettings): Promise<Finding<Client>> {
  const { chainId } = deployment
  const url = rpcUrl ?? Deployment.publicRpcUrls[chainId]
  if (!url) {
    throw new DrainError('rpc_missing', `No node of chain ${chainId} is known.`, {
      action: 'Set DRAIN_RPC_URL to the URL of one.',
    })
  }
  const { host, protocol } = new URL(url)
  if (!/^https?:$/.test(protocol)) {
    throw new DrainError(
      'setting_invalid',
      `DRAIN_RPC_URL begins with ${protocol}, not with https: or http:.`,
      {
        action: 'Use the HTTP URL of the node.',
      },
    )
  }
  const client = createClient({ transport: http(url, { timeout: patience, retryCount: 1 }) })
  const found = await getChainId(client).catch((error) => {
    throw new DrainError('rpc_unreachable', `The node at ${host} ${problemOf(error)}.`, {
      action: rpcUrl
        ? 'Check DRAIN_RPC_URL, and the connection.'
        : 'Check the connection, or set DRAIN_RPC_URL to a node of your own.',
    })
  })
  if (found !== chainId) {
    throw new DrainError('rpc_other_chain', `The node at ${host} is of chain ${found}, not ${chainId}.`, {
      action: 'Correct DRAIN_RPC_URL or DRAIN_CHAIN_ID.',
    })
  }
  const detail = `${host}, chain ${chainId}`
  if (rpcUrl) return { status: 'ok', detail, value: client }
  const next =
    'It is for everybody, and limits its use: set DRAIN_RPC_URL to a node of your own for more than a trial.'
  return { status: 'ok', detail: `${detail}, a public node`, next, value: client }
}

/** In words that quote nothing. */
function problemOf(error: unknown): string {
  for (let one = error, depth = 0; one instanceof Error && depth < 8; one = one.cause, depth++) {
    const { name, status, code } = one as Error & { status?: unknown; code?: unknown }
    if (name === 'TimeoutError') return `does not answer within ${patience / 1_000} seconds`
    if (typeof status === 'number') return `answers HTTP ${status}`
    if (typeof code === 'string') return `can’t be reached (${code})`
  }
  return 'does not answer as a node does'
}

const tokenAbi = parseAbi([
  'function token() view returns (address)',
  'function usdc() view returns (address)',
  'function decimals() view returns (uint8)',
])

export async function checkContract(client: Client, { deployment }: McpSettings): Promise<Finding<true>> {
  const { contract, token, chainId } = deployment
  const code = await getCode(client, { address: contract }).catch(unanswered)
  if (!code || code === '0x') {
    throw new DrainError('contract_missing', `There is no contract at ${contract} on chain ${chainId}.`, {
      action: 'Correct DRAIN_CONTRACT_ADDRESS or DRAIN_CHAIN_ID.',
    })
  }
  const held = await readToken(client, contract)
  if (held && !isAddressEqual(held, token)) {
    throw new DrainError('token_other', `${contract} holds the token ${held}, not ${token}.`, {
      action: 'Correct DRAIN_USDC_ADDRESS or DRAIN_CONTRACT_ADDRESS.',
    })
  }
  const decimals = await view(client, token, 'decimals')
  if (decimals !== 6) {
    throw new DrainError('token_other', `${token} is not USDC: it has not six decimals.`, {
      action: 'Correct DRAIN_USDC_ADDRESS.',
    })
  }
  if (held) return { status: 'ok', detail: `${contract}, with USDC at ${token}`, value: true }
  return {
    status: 'warning',
    detail: `${contract} has code, but doesn't say which token it holds`,
    next: 'Check that it is the contract you mean.',
    value: true,
  }
}

/** Older contracts call it otherwise. */
async function readToken(client: Client, contract: Address): Promise<Address | undefined> {
  return ((await view(client, contract, 'token')) ?? (await view(client, contract, 'usdc'))) as
    | Address
    | undefined
}

/** `undefined` where the contract has no such function. */
async function view(client: Client, address: Address, functionName: 'token' | 'usdc' | 'decimals') {
  try {
    return await readContract(client, { address, abi: tokenAbi, functionName })
  } catch (error) {
    const answers = [
      'ContractFunctionRevertedError',
      'ContractFunctionZeroDataError',
      'AbiDecodingZeroDataError',
    ]
    if (error instanceof Error && error.cause instanceof Error && answers.includes(error.cause.name))
      return undefined
    return unanswered(error)
  }
}

function unanswered(error: unknown): never {
  throw new DrainError('rpc_unreachable', `The node ${problemOf(error)}.`, {
    action: 'Try again, or use another node.',
  })
}

type Of = { client: Client; settings: McpSettings; account: Account }

/** @param perRequest The most that a request may cost, in decimal USDC. */
export async function checkUsdc({ client, settings, account }: Of, perRequest: string): Promise<Finding> {
  const { deployment } = settings
  const balance = await getUsdcBalance(client, { deployment, account: account.address }).catch(unanswered)
  const detail = `${Usdc.format(balance)} USDC`
  if (balance >= Usdc.parse(perRequest)) return { status: 'ok', detail }
  const next = `Send USDC on chain ${deployment.chainId} to ${account.address}.`
  return { status: 'warning', detail: `${detail}: not enough for a new channel`, next }
}

/** What an approval and an opening take together, roughly. */
const gasOfOpening = 200_000n

export async function checkGas({ client, account }: Of): Promise<Finding> {
  const [balance, price] = await Promise.all([
    getBalance(client, { address: account.address }),
    getGasPrice(client),
  ]).catch(unanswered)
  const detail = `${formatEther(balance)} of the chain's own coin`
  if (balance > 0n && balance >= gasOfOpening * price) return { status: 'ok', detail }
  return {
    status: 'warning',
    detail: `${detail}: not enough to open a channel`,
    next: `Send a little to ${account.address}. Without it only providers that open channels for you can be paid.`,
  }
}

export async function checkAllowance({ client, settings, account }: Of): Promise<Finding> {
  const { deployment } = settings
  const allowance = await getAllowance(client, { deployment, account: account.address }).catch(unanswered)
  return {
    status: 'ok',
    detail: `the contract may take ${Usdc.format(allowance)} USDC now; each opening approves its own deposit`,
  }
}
