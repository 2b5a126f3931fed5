import type { Client } from 'viem'
import { getChannel } from './getChannel.ts'

/**
 * What the provider has not claimed of a channel's deposit, in base units.
 *
 * Trap: vouchers that were signed and not yet claimed are not subtracted; only the provider knows what it charged.
 *
 * @example
 * ```ts
 * await getChannelBalance(client, { deployment, channelId }) // 9_500_000n
 * ```
 * @throws {ChannelNotFoundError} Never opened, or closed.
 */
export async function getChannelBalance(
  client: Client,
  parameters: getChannelBalance.Parameters,
): Promise<getChannelBalance.ReturnValue> {
  const { deposit, claimed } = await getChannel(client, parameters)
  return deposit - claimed
}

export declare namespace getChannelBalance {
  type Parameters = getChannel.Parameters
  type ReturnValue = bigint
}
