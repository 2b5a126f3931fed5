import { Channel, ChannelNotFoundError, drainChannelAbi } from '@drain/core'
import type { Client, Hex } from 'viem'
import { readContract } from 'viem/actions'
import type { ReadParameters } from './Parameters.ts'

/**
 * A channel as it stands on chain.
 *
 * Source: `getChannel` (ERC-8190). The contract answers zeros for channels it doesn't know; here that is an error, so that
 * a closed channel never looks like one that expired in 1970.
 *
 * @example
 * ```ts
 * const { deposit, claimed, expiry } = await getChannel(client, { deployment, channelId })
 * ```
 * @throws {ChannelNotFoundError} Never opened, or closed.
 */
export async function getChannel(
  client: Client,
  parameters: getChannel.Parameters,
): Promise<getChannel.ReturnValue> {
  const { deployment, blockNumber } = parameters
  const id = Channel.parseId(parameters.channelId)
  const [consumer, provider, deposit, claimed, expiry] = await readContract(client, {
    address: deployment.contract,
    abi: drainChannelAbi,
    functionName: 'getChannel',
    args: [id],
    ...(blockNumber === undefined ? {} : { blockNumber }),
  })
  const channel = { id, consumer, provider, deposit, claimed, expiry }
  if (!Channel.exists(channel)) throw new ChannelNotFoundError(id)
  return channel
}

export declare namespace getChannel {
  type Parameters = ReadParameters & {
    channelId: Hex
    /** Where it stood at that block; the latest by default. */
    blockNumber?: bigint | undefined
  }
  type ReturnValue = Channel.Channel
}
