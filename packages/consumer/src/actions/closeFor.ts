import { Channel, Deployment, TransactionRevertedError } from '@drain/core'
import type { Client, Hash, Hex } from 'viem'
import { refundOf } from './closing.ts'
import type { WriteParameters } from './Parameters.ts'
import { contractCall, transact } from './transact.ts'

/**
 * Closes somebody's channel a day after its expiry: what the provider hasn't claimed goes back to the channel's consumer,
 * to nobody else. For consumers that have no gas. Waits for the receipt.
 *
 * Source: `closeFor` of the contract. A consumer with gas uses {@link closeChannel}, from the expiry on.
 *
 * @example
 * ```ts
 * const { refund } = await closeFor(anybody, { deployment, channelId })
 * ```
 * @throws {FeatureUnavailableError} Older contracts don't have it.
 * @throws {ChannelNotFoundError} Never opened, or closed.
 * @throws {TransactionRevertedError} `NotExpired`: a day hasn't passed yet.
 */
export async function closeFor(
  client: Client,
  parameters: closeFor.Parameters,
): Promise<closeFor.ReturnValue> {
  const { deployment } = parameters
  Deployment.assertHas(deployment, 'closeFor')
  const channelId = Channel.parseId(parameters.channelId)
  const call = contractCall(deployment, 'closeFor', [channelId], channelId)
  const receipt = await transact(client, parameters, call).catch((error) => {
    throw isTooEarly(error) ? tooEarly(error) : error
  })
  return { txHash: receipt.transactionHash, refund: refundOf(receipt, deployment, channelId) }
}

export declare namespace closeFor {
  type Parameters = WriteParameters & { channelId: Hex }
  /** `refund` in base units: what the consumer got. */
  type ReturnValue = { txHash: Hash; refund: bigint }
}

const isTooEarly = (error: unknown): error is TransactionRevertedError =>
  error instanceof TransactionRevertedError && error.reason === 'NotExpired'

/** The contract's error is that of `close`, where it means the expiry. */
function tooEarly({ reason, details, transactionHash, cause }: TransactionRevertedError) {
  return new TransactionRevertedError(reason, {
    message: 'Others may close a channel only from a day after its expiry on.',
    action: 'Try again then; the consumer itself can close from the expiry on.',
    details,
    transactionHash,
    cause,
  })
}
