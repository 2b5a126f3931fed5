import { Channel, Deployment, type GaslessOpen } from '@drain/core'
import type { Client, Hash, Hex } from 'viem'
import { assertAsked, findGaslessChannel } from './getGaslessOpen.ts'
import { openedIn } from './openChannel.ts'
import type { WriteParameters } from './Parameters.ts'
import { contractCall, transact } from './transact.ts'

/**
 * Sends an opening that its consumer has signed, and pays the gas for it: anybody can. Waits for the receipt.
 *
 * What counts is the channel: where somebody else has sent the same before, that one is returned. Source:
 * `openWithAuthorization` of the contract.
 *
 * @example
 * ```ts
 * const { channelId } = await relayGaslessOpen(anybody, { deployment, open })
 * ```
 * @throws {TransactionRevertedError} The contract's error, or the token's text as `reason`: expired, used or cancelled, an
 * invalid signature.
 * @throws {InsufficientBalanceError} The consumer holds less than the deposit.
 */
export async function relayGaslessOpen(
  client: Client,
  parameters: relayGaslessOpen.Parameters,
): Promise<relayGaslessOpen.ReturnValue> {
  const { deployment, open, publicClient: reader = client } = parameters
  Deployment.assertHas(deployment, 'openWithAuthorization')
  const channelId = Channel.computeId(deployment, open, 'relayed')
  const { validAfter, validBefore, signature, ...opening } = open
  const call = contractCall(deployment, 'openWithAuthorization', [
    opening,
    validAfter,
    validBefore,
    signature,
  ])
  try {
    const receipt = await transact(client, parameters, call)
    const channel = openedIn(receipt, { deployment, ...opening }, channelId)
    assertAsked(channel, deployment, open)
    return { channelId, channel, txHash: receipt.transactionHash }
  } catch (error) {
    const channel = await findGaslessChannel(reader, deployment, open).catch(() => undefined)
    if (channel) return { channelId, channel }
    throw error
  }
}

export declare namespace relayGaslessOpen {
  type Parameters = WriteParameters & { open: GaslessOpen.GaslessOpen }
  type ReturnValue = {
    channelId: Hex
    channel: Channel.Channel
    /** Of this call's own transaction; without one somebody else has opened the channel. */
    txHash?: Hash
  }
}
