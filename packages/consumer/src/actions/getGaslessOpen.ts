import { Channel, ChannelNotFoundError, type Deployment, type GaslessOpen } from '@drain/core'
import { type Client, isAddressEqual } from 'viem'
import { getBlock, readContract } from 'viem/actions'
import { getChannel } from './getChannel.ts'
import { wrongContract } from './openChannel.ts'
import type { ReadParameters } from './Parameters.ts'
import { tokenAbi } from './tokenAbi.ts'

/**
 * What became of a signed opening, by the chain alone.
 *
 * @example
 * ```ts
 * const { status } = await getGaslessOpen(client, { deployment, open })
 * if (status === 'expired' || status === 'used') await signGaslessOpen(…) // a second deposit can't be locked
 * ```
 * @throws {DrainError} `unexpected_contract`
 */
export async function getGaslessOpen(
  client: Client,
  { deployment, open }: getGaslessOpen.Parameters,
): Promise<getGaslessOpen.ReturnValue> {
  // All of it at one block: what expired there without being used will never be.
  const { number: blockNumber, timestamp } = await getBlock(client)
  const [channel, isUsed] = await Promise.all([
    findGaslessChannel(client, deployment, open, blockNumber),
    readContract(client, {
      address: deployment.token,
      abi: tokenAbi,
      functionName: 'authorizationState',
      args: [open.consumer, Channel.hashOpening(open)],
      blockNumber,
    }),
  ])
  if (channel) return { status: 'opened', channel }
  if (isUsed) return { status: 'used' }
  return timestamp >= open.validBefore + reorganised ? { status: 'expired' } : { status: 'valid' }
}

export declare namespace getGaslessOpen {
  type Parameters = ReadParameters & {
    open: GaslessOpen.Unsigned
  }
  type ReturnValue =
    | { status: 'opened'; channel: Channel.Channel }
    /** Whoever has the signature can still open the channel. */
    | { status: 'valid' }
    /** Cancelled, or opened and closed since: nothing is locked, and nothing can be. */
    | { status: 'used' }
    /** A minute past `validBefore`: nobody can open it any more. */
    | { status: 'expired' }
}

/** As much as a chain's time may go back when its last blocks are replaced. Seconds. */
const reorganised = 60n

/**
 * The channel of a gasless opening, if it is there. Its id binds every term but the time of its beginning; a contract that
 * answers anything else for it is not the one that this client knows.
 *
 * @throws {DrainError} `unexpected_contract`
 * @internal
 */
export async function findGaslessChannel(
  reader: Client,
  deployment: Deployment.Deployment,
  open: GaslessOpen.Unsigned,
  blockNumber?: bigint,
): Promise<Channel.Channel | undefined> {
  const channelId = Channel.computeId(deployment, open, 'relayed')
  try {
    const channel = await getChannel(reader, { deployment, channelId, blockNumber })
    assertAsked(channel, deployment, open)
    return channel
  } catch (error) {
    if (error instanceof ChannelNotFoundError) return undefined
    throw error
  }
}

/** @internal */
export function assertAsked(
  channel: Channel.Channel,
  deployment: Deployment.Deployment,
  { consumer, provider, amount, duration, validAfter, validBefore }: GaslessOpen.Unsigned,
): void {
  const begun = channel.expiry - duration
  const isAsked =
    isAddressEqual(channel.consumer, consumer) &&
    isAddressEqual(channel.provider, provider) &&
    channel.deposit === amount &&
    begun > validAfter &&
    begun < validBefore
  if (!isAsked) throw wrongContract(deployment, `has other terms for channel ${channel.id} than were signed`)
}
