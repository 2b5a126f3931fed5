import {
  Channel,
  ContractError,
  Deployment,
  Domain,
  DrainError,
  type Rejection,
  SessionKey,
  TransactionRevertedError,
  Usdc,
  type Voucher,
} from '@drain/core'
import { selectSecp256k1 } from '@drain/keys'
import { type Account, type Address, createPublicClient, type Hex, type WalletClient } from 'viem'
import { createChannelReader } from './chain/ChannelReader.ts'
import { type RpcUrlInput, rpcUrlOf } from './chain/rpcUrlOf.ts'
import { rpcTransport } from './chain/transport.ts'
import { invalidSignature, type KnownChannel, recoverVoucher, verifySigned } from './verify/verifyVoucher.ts'

/** Where a provider's channels live. */
export type DrainProviderConfig = {
  chainId: number
  /** One node of the chain or several, as in `createPaywall`. */
  rpcUrl?: RpcUrlInput | undefined
  /** A contract of your own, or one that isn't the chain's default. */
  contractAddress?: Address | undefined
  usdcAddress?: Address | undefined
}

/** What `verifyVoucher` found. */
export type VoucherVerification = {
  valid: boolean
  /** Why not, for people. */
  error?: string
  /** Why not, for programs: a code of the protocol. */
  code?: Rejection.Code
  signer?: Address
  channel?: Channel.Channel
  /** Voucher amount − claimed on chain, in base units: what a claim of it would pay. */
  payout?: bigint
  payoutFormatted?: string
  /**
   * What this voucher adds to the highest one verified before, in base units: what the consumer pays with it. Compare it
   * with your price; `payout` counts what earlier vouchers have paid for already.
   */
  increase?: bigint
}

/**
 * Verifies and claims vouchers, one at a time, as the original SDK did. Keeps nonces and amounts in memory only: to charge
 * for a service use `createPaywall`, whose ledger survives a restart and decides concurrent requests atomically.
 */
export type DrainProvider = {
  /** Whether a voucher may be served: each must have a higher nonce and a higher amount than before. Never throws. */
  verifyVoucher(voucher: Voucher.Voucher): Promise<VoucherVerification>
  /**
   * Claims a voucher and waits for the transaction's success.
   * @throws {DrainError} Without a wallet, or when the contract refuses.
   */
  claim(voucher: Voucher.Voucher): Promise<Hex>
  /** The channel on chain; zeros when it does not exist. */
  getChannel(channelId: Hex): Promise<Channel.Channel>
  /** Deposit − claimed, as decimal USDC. */
  getChannelBalance(channelId: Hex): Promise<string>
  isChannelExpired(channelId: Hex): Promise<boolean>
  /** Seconds until the expiry, 0 when it has passed. */
  getTimeUntilExpiry(channelId: Hex): Promise<number>
  getHighestNonce(channelId: Hex): bigint
  /** Restores what `getHighestNonce` said before a restart. */
  setHighestNonce(channelId: Hex, nonce: bigint): void
  getContractAddress(): Address
}

/**
 * A provider that verifies. `provider` is who is paid: vouchers of channels that pay somebody else are worth nothing.
 * @throws {DrainError} `provider_missing`
 */
export function createDrainProvider(config: DrainProviderConfig & { provider: Address }): DrainProvider {
  if (!config.provider) {
    throw new DrainError('provider_missing', 'Whose channels shall pass?', {
      action: 'Pass provider: your address. Otherwise vouchers that pay somebody else would be valid.',
    })
  }
  return create(config)
}

/** A provider that verifies and claims. */
export function createDrainProviderWithWallet(
  config: DrainProviderConfig,
  walletClient: WalletClient,
  account: Account,
): DrainProvider {
  return create({ ...config, provider: account.address }, { walletClient, account })
}

function create(
  config: DrainProviderConfig & { provider: Address },
  wallet?: { walletClient: WalletClient; account: Account },
): DrainProvider {
  const deployment = Deployment.find({
    chainId: config.chainId,
    contract: config.contractAddress,
    token: config.usdcAddress,
  })
  const domainSeparator = Domain.separator(deployment)
  const rpcUrl = config.rpcUrl ?? wallet?.walletClient.chain?.rpcUrls.default.http[0]
  const { chainId } = config
  const transport = rpcTransport(rpcUrlOf({ chainId, rpcUrl }), { chainId })
  const client = createPublicClient({ transport })
  const { provider } = config
  const channels = createChannelReader({ client, deployment, provider, confirmations: () => 0n })
  const secp256k1 = selectSecp256k1()
  /** What was verified so far, per channel. */
  const highest = new Map<Hex, { nonce: bigint; amount: bigint }>()
  /** Channels whose session key has sent its proof: it crosses the wire once. */
  const proven = new Map<Hex, KnownChannel>()
  const highestOf = (channelId: Hex) => highest.get(Channel.parseId(channelId)) ?? { nonce: 0n, amount: 0n }

  async function verify(voucher: Voucher.Voucher): Promise<VoucherVerification> {
    const channelId = Channel.parseId(voucher.channelId)
    const normal = { ...voucher, channelId }
    const signed = recoverVoucher(normal, { domainSeparator, secp256k1 })
    if (!signed) return refuse(invalidSignature.rejection.code, invalidSignature.rejection.message)
    const lookup = await channels.get(channelId)
    const channel =
      lookup.status === 'found' ? { ...lookup.channel, proof: proven.get(channelId)?.proof } : undefined
    const context = { provider, deployment, domainSeparator, secp256k1, now: channels.now() }
    const verdict = verifySigned(normal, signed, channel, context)
    if (!verdict.ok) return refuse(verdict.rejection.code, verdict.rejection.message)
    if (verdict.proof) proven.set(channelId, verdict.channel)
    // From here on without waiting for anything, so that no other call can pass with the same nonce.
    const before = highestOf(channelId)
    if (voucher.nonce <= before.nonce) {
      return refuse(
        'invalid_nonce',
        `The nonce ${voucher.nonce} is not above ${before.nonce}, the highest seen.`,
      )
    }
    const { claimed, consumer } = verdict.channel
    const floor = before.amount > claimed ? before.amount : claimed
    if (voucher.amount <= floor) {
      const [has, needs] = [Usdc.display(voucher.amount), Usdc.display(floor)]
      return refuse(
        'insufficient_funds',
        `The voucher's ${has} add nothing to the ${needs} verified or claimed before.`,
      )
    }
    const increase = voucher.amount - floor
    highest.set(channelId, {
      nonce: voucher.nonce,
      amount: voucher.amount,
    })
    const payout = voucher.amount - claimed
    const payoutFormatted = Usdc.format(payout)
    return { valid: true, signer: consumer, channel: verdict.channel, payout, payoutFormatted, increase }
  }

  /** The signature as the contract takes it: a session key's with the proof, that its later vouchers come without. */
  function claimable(voucher: Voucher.Voucher): Hex {
    const channel = proven.get(voucher.channelId)
    const signed = channel && recoverVoucher(voucher, { domainSeparator, secp256k1 })
    return (signed && SessionKey.accept(signed, channel, deployment)?.signature) ?? voucher.signature
  }

  async function claim(voucher: Voucher.Voucher): Promise<Hex> {
    if (!wallet) {
      throw new DrainError('wallet_required', 'This provider has no wallet to claim with.', {
        action: 'Create it with createDrainProviderWithWallet.',
      })
    }
    const { walletClient, account } = wallet
    const channelId = Channel.parseId(voucher.channelId)
    const { amount, nonce } = voucher
    const call = {
      address: deployment.contract,
      abi: ContractError.callAbi,
      functionName: 'claim',
      args: [channelId, amount, nonce, claimable({ ...voucher, channelId })],
      account,
    } as const
    try {
      await client.simulateContract(call)
    } catch (error) {
      throw ContractError.fromRevert(error, { channelId })
    }
    const hash = await walletClient.writeContract({ ...call, chain: walletClient.chain })
    const receipt = await client.waitForTransactionReceipt({ hash })
    if (receipt.status !== 'success') throw new TransactionRevertedError('claim', { transactionHash: hash })
    channels.forget(channelId)
    return hash
  }

  return {
    async verifyVoucher(voucher) {
      try {
        return await verify(voucher)
      } catch (error) {
        return refuse(
          'unavailable',
          error instanceof DrainError ? error.message : 'The voucher cannot be verified.',
        )
      }
    },
    claim,
    getChannel: (channelId) => channels.read(Channel.parseId(channelId)),
    async getChannelBalance(channelId) {
      const { deposit, claimed } = await channels.read(Channel.parseId(channelId))
      return Usdc.format(deposit - claimed)
    },
    async isChannelExpired(channelId) {
      return Channel.isExpired(await channels.read(Channel.parseId(channelId)), channels.now())
    },
    async getTimeUntilExpiry(channelId) {
      const left = (await channels.read(Channel.parseId(channelId))).expiry - channels.now()
      return left > 0n ? Number(left) : 0
    },
    getHighestNonce: (channelId) => highestOf(channelId).nonce,
    setHighestNonce(channelId, nonce) {
      highest.set(Channel.parseId(channelId), { ...highestOf(channelId), nonce })
    },
    getContractAddress: () => deployment.contract,
  }
}

function refuse(code: Rejection.Code, error: string): VoucherVerification {
  return { valid: false, code, error }
}
