import { Channel, ChannelRequest } from '@drain/core'
import type { Client, Hex } from 'viem'
import type { SessionParameters } from './Parameters.ts'
import { signPlain } from './signPlain.ts'

/**
 * Signs a request about a channel (`state`, `close`), which proves to the provider that its consumer asks.
 *
 * @example
 * ```ts
 * const request = await signChannelRequest(walletClient, { deployment, channelId, action: 'close', deadline })
 * ```
 * @throws {InvalidFormatError}
 */
export async function signChannelRequest(
  client: Client,
  parameters: signChannelRequest.Parameters,
): Promise<signChannelRequest.ReturnValue> {
  const { deployment, action, deadline } = parameters
  const unsigned = { channelId: Channel.parseId(parameters.channelId), action, deadline }
  const signature = await signPlain(client, parameters, {
    typedData: ChannelRequest.typedData(unsigned, deployment),
    digest: (separator) => ChannelRequest.digest(unsigned, separator),
  })
  return { ...unsigned, signature }
}

export declare namespace signChannelRequest {
  type Parameters = SessionParameters & {
    channelId: Hex
    action: ChannelRequest.Action
    /** Unix seconds, at most 5 minutes ahead. */
    deadline: bigint
  }
  type ReturnValue = ChannelRequest.ChannelRequest
}
