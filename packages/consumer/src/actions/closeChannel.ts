import { Channel, Deployment } from '@drain/core'
import type { Client, Hash, Hex } from 'viem'
import { refundOf } from './closing.ts'
import type { WriteParameters } from './Parameters.ts'
import { contractCall, transact } from './transact.ts'

/**
 * Closes an expired channel alone: what the provider hasn't claimed comes back. Waits for the receipt.
 *
 * Source: `close` of the contract (ERC-8190). Before expiry use {@link cooperativeClose}.
 *
 * @example
 * ```ts
 * const { refund } = await closeChannel(walletClient, { deployment, channelId })
 * ```
 * @throws {ChannelNotFoundError} Never opened, or closed.
 * @throws {TransactionRevertedError} `NotExpired`, `NotConsumer`.
 */
export async function closeChannel(
  client: Client,
  parameters: closeChannel.Parameters,
): Promise<closeChannel.ReturnValue> {
  const { deployment } = parameters
  Deployment.assertHas(deployment, 'close')
  const channelId = Channel.parseId(parameters.channelId)
  const receipt = await transact(
    client,
    parameters,
    contractCall(deployment, 'close', [channelId], channelId),
  )
  return { txHash: receipt.transactionHash, refund: refundOf(receipt, deployment, channelId) }
}

export declare namespace closeChannel {
  type Parameters = WriteParameters & { channelId: Hex }
  /** `refund` in base units. */
  type ReturnValue = { txHash: Hash; refund: bigint }
}
