/** The contract's events that matter to one provider, in the order in which they happened. */
import { ContractError, type Deployment } from '@drain/core'
import type { Address, Hex, PublicClient } from 'viem'

type At = { channelId: Hex; blockNumber: bigint; blockHash: Hex; logIndex: number; txHash: Hex }

export type Opened = At & { kind: 'opened' }
/** `amount`: what this claim took, base units. */
export type Claimed = At & { kind: 'claimed'; amount: bigint }
/** `refund`: the deposit less all that was claimed, base units. The channel may be another provider's: the event doesn't say. */
export type Closed = At & { kind: 'closed'; refund: bigint }

export type ContractLog = Opened | Claimed | Closed

/**
 * The opens and claims of the provider's channels, and the closes of everybody's, in the blocks from and to.
 * @throws what the node answers, and when it answers with other blocks than it was asked for.
 */
export async function readLogs(
  options: { client: PublicClient; deployment: Deployment.Deployment; provider: Address },
  fromBlock: bigint,
  toBlock: bigint,
): Promise<ContractLog[]> {
  const { client, deployment, provider } = options
  const range = { address: deployment.contract, abi: ContractError.callAbi, fromBlock, toBlock } as const
  const [opened, claimed, closed] = await Promise.all([
    client.getContractEvents({ ...range, eventName: 'ChannelOpened', args: { provider }, strict: true }),
    client.getContractEvents({ ...range, eventName: 'ChannelClaimed', args: { provider }, strict: true }),
    client.getContractEvents({ ...range, eventName: 'ChannelClosed', strict: true }),
  ])
  const isMine = ({ args }: { args: { provider: Address } }) =>
    args.provider.toLowerCase() === provider.toLowerCase()
  const logs: ContractLog[] = [
    ...opened.filter(isMine).map((log) => ({ ...placeOf(log), kind: 'opened' as const })),
    ...claimed
      .filter(isMine)
      .map((log) => ({ ...placeOf(log), kind: 'claimed' as const, amount: log.args.amount })),
    ...closed.map((log) => ({ ...placeOf(log), kind: 'closed' as const, refund: log.args.refund })),
  ]
  if (logs.some(({ blockNumber }) => blockNumber < fromBlock || blockNumber > toBlock))
    throw new Error('The node answered with logs of other blocks.')
  return logs.sort((a, b) => Number(a.blockNumber - b.blockNumber) || a.logIndex - b.logIndex)
}

function placeOf(log: {
  args: { channelId: Hex }
  blockNumber: bigint
  blockHash: Hex
  logIndex: number
  transactionHash: Hex
}): At {
  const { args, blockNumber, blockHash, logIndex, transactionHash: txHash } = log
  return { channelId: args.channelId, blockNumber, blockHash, logIndex, txHash }
}
