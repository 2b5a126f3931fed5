import { Channel, ContractError, type Deployment } from '@drain/core'
import type { Hex, PublicClient } from 'viem'
import { ChainUnavailableError } from '../chain/ChannelReader.ts'
import type { ChannelFacts } from '../ledger/Ledger.ts'

/** What the node answers. @throws {ChainUnavailableError} */
export async function asked<answer>(question: () => Promise<answer>): Promise<answer> {
  try {
    return await question()
  } catch (error) {
    throw new ChainUnavailableError(error)
  }
}

/**
 * A channel as the contract shows it, at a block if the node still has its state, else now; `undefined` when there is none.
 * @param isStrict At that block or not at all: a node that is behind doesn't have it.
 * @throws {ChainUnavailableError}
 */
export async function readChannel(
  { client, deployment }: { client: PublicClient; deployment: Deployment.Deployment },
  channelId: Hex,
  blockNumber?: bigint,
  isStrict = false,
): Promise<ChannelFacts | undefined> {
  const call = {
    address: deployment.contract,
    abi: ContractError.callAbi,
    functionName: 'getChannel',
    args: [channelId],
  } as const
  const [consumer, provider, deposit, claimed, expiry] = await asked(() => {
    const now = () => client.readContract(call)
    // Nodes keep the state of the latest blocks only.
    if (blockNumber === undefined) return now()
    const then = client.readContract({ ...call, blockNumber })
    return isStrict ? then : then.catch(now)
  })
  const channel = { id: channelId, consumer, provider, deposit, claimed, expiry }
  return Channel.exists(channel) ? { ...channel, channelId } : undefined
}
