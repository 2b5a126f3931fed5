import { Deployment, Usdc } from '@drain/core'
import {
  type Account,
  type Address,
  type Chain,
  concatHex,
  createPublicClient,
  createTestClient,
  createWalletClient,
  defineChain,
  encodeAbiParameters,
  encodeFunctionData,
  getContractAddress,
  type HDAccount,
  type HttpTransport,
  http,
  keccak256,
  type PublicClient,
  stringToHex,
  type TestClient,
  type WalletClient,
} from 'viem'
import { mnemonicToAccount } from 'viem/accounts'
import { getTransactionCount } from 'viem/actions'
import { type Anvil, startAnvil } from './anvil.ts'
import { drainChannelCode } from './artifacts.generated.ts'
import { sendAll } from './sendAll.ts'
import { deployUsdc, fiatTokenAbi } from './usdc.ts'

/** A private chain with Circle's real USDC, `DrainChannel` and funded accounts. */
export type LocalChain = {
  rpcUrl: string
  chainId: 31337
  /** viem's description of it, with its `rpcUrl`. */
  chain: Chain
  /** Where contract and token are. */
  deployment: Deployment.Deployment
  publicClient: PublicClient<HttpTransport, Chain>
  /** Mines, moves time, impersonates. */
  testClient: TestClient<'anvil', HttpTransport, Chain>
  /** Ten accounts with 10,000 native coins and the USDC of {@link startLocalChain.Options.usdc}. */
  accounts: readonly [HDAccount, HDAccount, HDAccount, HDAccount, ...HDAccount[]]
  /** Holds every role of the token (mint, pause, block list); unlocked, so `walletClient(issuer)` signs with it. */
  issuer: Address
  /** Receives the fee, where there is one. */
  feeRecipient: Address
  walletClient<const account extends Account | Address>(
    account: account,
  ): WalletClient<HttpTransport, Chain, account extends Account ? account : Account>
  /** Mints USDC: decimal USDC as a string, base units as a bigint. */
  fund(address: Address, usdc: string | bigint): Promise<void>
  /** Stops the chain. `await using` does it by itself. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const mnemonic = 'test test test test test test test test test test test junk'
const chainId = 31337

/**
 * Starts a private chain: anvil on a free port, Circle's USDC (FiatTokenV2_2 behind its proxy, so EIP-3009, permit,
 * pausing and the block list are the real ones), `DrainChannel` on it, ten funded accounts. It ends with this process
 * at the latest.
 *
 * Needs anvil: the npm package `@foundry-rs/anvil`, or Foundry on PATH.
 *
 * @example
 * ```ts
 * const chain = await startLocalChain()
 * const [consumer, provider] = chain.accounts
 * await openChannel(chain.walletClient(consumer), { deployment: chain.deployment, … })
 * await chain.close()
 * ```
 */
export async function startLocalChain(options: startLocalChain.Options = {}): Promise<LocalChain> {
  const { blockTime, feeBps = 0, usdc = '10000' } = options
  const anvil = await startAnvil(['--accounts', '11', '--chain-id', String(chainId)])
  try {
    return await setUp(anvil, { blockTime, feeBps, usdc })
  } catch (error) {
    await anvil.close()
    throw error
  }
}

export declare namespace startLocalChain {
  type Options = {
    /** Seconds between blocks. By default every transaction is mined at once. */
    blockTime?: number | undefined
    /** The contract's fee in basis points; 0 by default. */
    feeBps?: number | undefined
    /** USDC that each account starts with; 10,000 by default. */
    usdc?: string | undefined
  }
}

async function setUp(
  anvil: Anvil,
  options: { blockTime: number | undefined; feeBps: number; usdc: string },
): Promise<LocalChain> {
  const { rpcUrl } = anvil
  const chain = defineChain({
    id: chainId,
    name: 'DRAIN local',
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [rpcUrl] } },
  })
  // Short polling and no caching: a local chain has its answer in milliseconds.
  const common = { chain, transport: http(rpcUrl), pollingInterval: 20, cacheTime: 0 }
  const publicClient = createPublicClient(common)
  const testClient = createTestClient({ ...common, mode: 'anvil' })

  const account = (addressIndex: number) => mnemonicToAccount(mnemonic, { addressIndex })
  const accounts = [
    account(0),
    account(1),
    account(2),
    account(3),
    ...[4, 5, 6, 7, 8, 9].map(account),
  ] as const
  const issuer = account(10).address
  const feeRecipient: Address = `0x${keccak256(stringToHex('fee recipient')).slice(-40)}`

  const token = await deployUsdc(testClient, issuer)
  const nonce = BigInt(await getTransactionCount(testClient, { address: issuer }))
  const contract = getContractAddress({ from: issuer, nonce })
  const parameters = encodeAbiParameters(
    [{ type: 'address' }, { type: 'address' }, { type: 'uint16' }],
    [token, feeRecipient, options.feeBps],
  )
  const mint = (to: Address, amount: bigint) => ({
    to: token,
    data: encodeFunctionData({ abi: fiatTokenAbi, functionName: 'mint', args: [to, amount] }),
  })
  const usdc = Usdc.parse(options.usdc)
  await sendAll(testClient, issuer, [
    { data: concatHex([drainChannelCode, parameters]) },
    ...(usdc > 0n ? accounts.map(({ address }) => mint(address, usdc)) : []),
  ])
  if (options.blockTime) await testClient.setIntervalMining({ interval: options.blockTime })

  // One after the other: anvil gives transactions of one account that come together the same nonce.
  let minted: Promise<unknown> = Promise.resolve()
  function fund(address: Address, usdc: string | bigint): Promise<void> {
    const amount = typeof usdc === 'string' ? Usdc.parse(usdc) : usdc
    const minting = minted.then(() => sendAll(testClient, issuer, [mint(address, amount)]))
    minted = minting.catch(() => {})
    return minting
  }

  return {
    rpcUrl,
    chainId,
    chain,
    deployment: Deployment.from({ chainId, contract, token, feeBps: options.feeBps }),
    publicClient,
    testClient,
    accounts,
    issuer,
    feeRecipient,
    walletClient: ((from: Account | Address) =>
      createWalletClient({ ...common, account: from })) as LocalChain['walletClient'],
    fund,
    close: anvil.close,
    [Symbol.asyncDispose]: anvil.close,
  }
}
