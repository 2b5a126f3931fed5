import { Channel, Deployment, Duration, Usdc, type Voucher } from '@drain/core'
import { type Account, type Address, type Client, createClient, type Hash, type Hex, http } from 'viem'
import { parseAccount } from 'viem/utils'
import { approveUsdc } from './actions/approveUsdc.ts'
import { closeChannel } from './actions/closeChannel.ts'
import { cooperativeClose } from './actions/cooperativeClose.ts'
import { getAllowance } from './actions/getAllowance.ts'
import { getChannel } from './actions/getChannel.ts'
import { getChannelBalance } from './actions/getChannelBalance.ts'
import { getUsdcBalance } from './actions/getUsdcBalance.ts'
import { openChannel } from './actions/openChannel.ts'
import { chainOf } from './actions/Parameters.ts'
import { signVoucher } from './actions/signVoucher.ts'
import { nextNonce } from './nonce.ts'

/** Where a consumer's channels are. */
export type DrainConsumerConfig = {
  /** 137 (Polygon), 80002 (Amoy), or any other together with both addresses. */
  chainId: number
  /** For reads and receipts; the wallet's own transport by default. */
  rpcUrl?: string | undefined
  /** The channel contract; the chain's known one by default. */
  contractAddress?: Address | undefined
  /** The USDC contract; the chain's known one by default. */
  usdcAddress?: Address | undefined
}

/**
 * The original SDK's consumer: opens channels, signs vouchers, closes. It does no HTTP. Amounts are decimal USDC strings
 * going in and coming out; channels and vouchers carry base units.
 *
 * Every method that sends a transaction waits for its receipt; a reverted one is an error.
 */
export type DrainConsumer = {
  /** USDC in the wallet, such as `'12.5'`. */
  getUsdcBalance(): Promise<string>
  /** Lets the contract take exactly this much for deposits, replacing what it was allowed before. */
  approveUsdc(amount: string): Promise<Hash>
  /** USDC that the contract may still take. */
  getAllowance(): Promise<string>
  /** Opens a channel. Balance and allowance are checked before anything is sent. See {@link openChannel}. */
  openChannel(options: {
    provider: Address
    /** Deposit in USDC: `'10'`. */
    amount: string
    /** Seconds, or `'30m'`, `'24h'`, `'7d'`. */
    duration: number | string
  }): Promise<{ channelId: Hex; txHash: Hash; channel: Channel.Channel }>
  /** A channel as it stands on chain. @throws {ChannelNotFoundError} */
  getChannel(channelId: Hex): Promise<Channel.Channel>
  /** USDC of the deposit that the provider has not claimed. @throws {ChannelNotFoundError} */
  getChannelBalance(channelId: Hex): Promise<string>
  /** Signs a voucher. `amount` is the **cumulative** total in USDC, never an increment. */
  signVoucher(channelId: Hex, amount: string): Promise<Voucher.Voucher>
  /** What {@link DrainConsumer.signVoucher} would sign, under a nonce that is used up by this. */
  createUnsignedVoucher(channelId: Hex, amount: string): Voucher.Unsigned
  /** Closes an expired channel and refunds what the provider hasn't claimed. */
  closeChannel(channelId: Hex): Promise<Hash>
  /** Closes at any time with the provider's signature over `finalAmount`: USDC that it gets in all. */
  cooperativeClose(channelId: Hex, finalAmount: string, providerSignature: Hex): Promise<Hash>
  getContractAddress(): Address
  getUsdcAddress(): Address
}

/**
 * Makes a consumer of the original SDK's shape.
 *
 * @example
 * ```ts
 * const consumer = createDrainConsumer(walletClient, account, { chainId: 137 })
 * await consumer.approveUsdc('10')
 * const { channelId } = await consumer.openChannel({ provider: '0x…', amount: '10', duration: '24h' })
 * const voucher = await consumer.signVoucher(channelId, '0.50')
 * ```
 * @throws {UnknownDeploymentError}
 */
export function createDrainConsumer(
  walletClient: Client,
  account: Account | Address,
  config: DrainConsumerConfig,
): DrainConsumer {
  const { chainId, rpcUrl, contractAddress, usdcAddress } = config
  const deployment = Deployment.find({ chainId, contract: contractAddress, token: usdcAddress })
  const publicClient = rpcUrl
    ? createClient({
        chain: chainOf(walletClient, deployment),
        transport: http(rpcUrl),
        pollingInterval: walletClient.pollingInterval,
      })
    : walletClient
  const from = { deployment, account: parseAccount(account), publicClient }

  const nonces = new Map<Hex, bigint>()
  function createUnsignedVoucher(channelId: Hex, amount: string): Voucher.Unsigned {
    const id = Channel.parseId(channelId)
    const nonce = nextNonce(nonces.get(id), Date.now())
    const unsigned = { channelId: id, amount: Usdc.parse(amount), nonce }
    nonces.set(id, nonce)
    return unsigned
  }

  return {
    getUsdcBalance: async () => Usdc.format(await getUsdcBalance(publicClient, from)),
    approveUsdc: async (amount) =>
      (await approveUsdc(walletClient, { ...from, amount: Usdc.parse(amount) })).txHash,
    getAllowance: async () => Usdc.format(await getAllowance(publicClient, from)),
    openChannel: async ({ provider, amount, duration }) =>
      openChannel(walletClient, {
        ...from,
        provider,
        amount: Usdc.parse(amount),
        duration: Duration.parse(duration),
      }),
    getChannel: (channelId) => getChannel(publicClient, { deployment, channelId }),
    getChannelBalance: async (channelId) =>
      Usdc.format(await getChannelBalance(publicClient, { deployment, channelId })),
    signVoucher: async (channelId, amount) =>
      signVoucher(walletClient, { ...from, ...createUnsignedVoucher(channelId, amount) }),
    createUnsignedVoucher,
    closeChannel: async (channelId) => (await closeChannel(walletClient, { ...from, channelId })).txHash,
    cooperativeClose: async (channelId, finalAmount, providerSignature) => {
      const final = { channelId, finalAmount: Usdc.parse(finalAmount), providerSignature }
      return (await cooperativeClose(walletClient, { ...from, ...final })).txHash
    },
    getContractAddress: () => deployment.contract,
    getUsdcAddress: () => deployment.token,
  }
}
