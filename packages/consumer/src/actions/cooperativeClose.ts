import { Channel, Deployment } from '@drain/core'
import type { Client, Hash, Hex } from 'viem'
import { refundOf } from './closing.ts'
import type { WriteParameters } from './Parameters.ts'
import { contractCall, transact } from './transact.ts'

/**
 * Closes a channel at any time with the provider's signed consent: it gets `finalAmount` in all, the rest comes back.
 * Waits for the receipt.
 *
 * Trap: check `finalAmount` against what was really charged; the contract only checks that the provider signed it.
 * Source: `cooperativeClose` of the contract (ERC-8190).
 *
 * @example
 * ```ts
 * await cooperativeClose(walletClient, { deployment, channelId, finalAmount, providerSignature })
 * ```
 * @throws {FeatureUnavailableError} Older contracts don't have it.
 * @throws {ChannelNotFoundError} Never opened, or closed.
 * @throws {TransactionRevertedError} `InvalidSignature`, `BelowClaimed`, `ExceedsDeposit`, `NotConsumer`.
 */
export async function cooperativeClose(
  client: Client,
  parameters: cooperativeClose.Parameters,
): Promise<cooperativeClose.ReturnValue> {
  const { deployment, finalAmount, providerSignature } = parameters
  Deployment.assertHas(deployment, 'cooperativeClose')
  const channelId = Channel.parseId(parameters.channelId)
  const args = [channelId, finalAmount, providerSignature]
  const receipt = await transact(
    client,
    parameters,
    contractCall(deployment, 'cooperativeClose', args, channelId),
  )
  return { txHash: receipt.transactionHash, refund: refundOf(receipt, deployment, channelId) }
}

export declare namespace cooperativeClose {
  type Parameters = WriteParameters & {
    channelId: Hex
    /** Cumulative total for the provider in base units, including what it already claimed. */
    finalAmount: bigint
    /** The provider's `CloseAuthorization` over this amount. */
    providerSignature: Hex
  }
  /** `refund` in base units. */
  type ReturnValue = { txHash: Hash; refund: bigint }
}
