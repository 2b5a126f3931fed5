/** Channels on a private chain, for tests: opened, claimed and closed as providers and consumers do. */
import { approveUsdc, openChannel } from '@drain/consumer'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { CloseAuthorization, drainChannelAbi, Usdc, Voucher } from '@drain/core'
import type { Hex, LocalAccount } from 'viem'
import type { ChainSettings } from '../settings.ts'
import { type ChainClient, createChainClients } from './clients.ts'

export type TestChannels = {
  chain: LocalChain
  /** For the directory's settings. */
  settings: ChainSettings
  client: ChainClient
  consumer: LocalAccount
  provider: LocalAccount
  /** An open channel. */
  open(options?: { from?: LocalAccount; to?: LocalAccount; amount?: string; duration?: bigint }): Promise<Hex>
  /** The provider claims up to a cumulative amount. */
  claim(channelId: Hex, amount: string, parties?: { from?: LocalAccount; to?: LocalAccount }): Promise<void>
  /** The provider takes up to a cumulative amount, and the rest goes back. */
  claimAndClose(channelId: Hex, amount: string): Promise<void>
  /** The consumer closes with the provider's agreement to a cumulative amount. */
  cooperativeClose(channelId: Hex, amount: string): Promise<void>
  mine(blocks: number): Promise<void>
  close(): Promise<void>
}

export async function startChannels(): Promise<TestChannels> {
  const chain = await startLocalChain()
  const { deployment, publicClient } = chain
  const [consumer, provider] = chain.accounts
  const settings = { deployment, rpcUrl: chain.rpcUrl }
  const [client] = createChainClients([settings])
  if (!client) throw new Error('no client')
  let nonce = 0n

  async function write(
    account: LocalAccount,
    functionName: 'claim' | 'claimAndClose' | 'cooperativeClose',
    args: readonly unknown[],
  ) {
    const hash = await chain.walletClient(account).writeContract({
      address: deployment.contract,
      abi: drainChannelAbi,
      functionName,
      args,
    } as never)
    const { status } = await publicClient.waitForTransactionReceipt({ hash })
    if (status !== 'success') throw new Error(`${functionName} reverted`)
  }

  async function sign(channelId: Hex, amount: bigint, from: LocalAccount) {
    const voucher = { channelId, amount, nonce: ++nonce }
    return { ...voucher, signature: await from.signTypedData(Voucher.typedData(voucher, deployment)) }
  }

  return {
    ...{ chain, settings, client, consumer, provider },
    async open({ from = consumer, to = provider, amount = '1', duration = 86_400n } = {}) {
      const wallet = chain.walletClient(from)
      const terms = { deployment, amount: Usdc.parse(amount) }
      await approveUsdc(wallet, terms)
      const { channelId } = await openChannel(wallet, { ...terms, provider: to.address, duration })
      return channelId
    },
    async claim(channelId, amount, { from = consumer, to = provider } = {}) {
      const voucher = await sign(channelId, Usdc.parse(amount), from)
      await write(to, 'claim', [channelId, voucher.amount, voucher.nonce, voucher.signature])
    },
    async claimAndClose(channelId, amount) {
      const voucher = await sign(channelId, Usdc.parse(amount), consumer)
      const { amount: paid, nonce, signature } = voucher
      await write(provider, 'claimAndClose', [channelId, paid, nonce, paid, signature])
    },
    async cooperativeClose(channelId, amount) {
      const finalAmount = Usdc.parse(amount)
      const typedData = CloseAuthorization.typedData({ channelId, finalAmount }, deployment)
      await write(consumer, 'cooperativeClose', [
        channelId,
        finalAmount,
        await provider.signTypedData(typedData),
      ])
    },
    mine: (blocks) => chain.testClient.mine({ blocks }),
    close: chain.close,
  }
}
