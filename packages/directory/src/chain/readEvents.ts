/** The contract's events, of all channels. */
import { drainChannelAbi } from '@drain/core'
import { type Address, getAbiItem, type Hex } from 'viem'
import type { ChainClient } from './clients.ts'

/** Addresses and ids are lower case, amounts base units. All deployments, also the older ones, emit these. */
export type ChannelEvent = { channelId: Hex; block: bigint } & (
  | { kind: 'opened'; consumer: string; provider: string; deposit: bigint }
  /** `amount`: what this claim took. */
  | { kind: 'claimed'; provider: string; amount: bigint }
  /** `refund`: the deposit less all that the provider got. */
  | { kind: 'closed'; consumer: string; refund: bigint }
)

const abi = drainChannelAbi
const events = [
  getAbiItem({ abi, name: 'ChannelOpened' }),
  getAbiItem({ abi, name: 'ChannelClaimed' }),
  getAbiItem({ abi, name: 'ChannelClosed' }),
] as const

/**
 * Those of the blocks `from` to `to`, in their order.
 *
 * @throws what the node answers, and when it answers with something else than it was asked for.
 */
export async function readEvents(
  { client, deployment }: ChainClient,
  from: bigint,
  to: bigint,
): Promise<ChannelEvent[]> {
  const logs = await client.getLogs({
    ...{ address: deployment.contract, events, fromBlock: from, toBlock: to },
    strict: true,
  })
  const contract = deployment.contract.toLowerCase()
  const isOther = logs.some(
    (log) =>
      log.blockNumber < from || log.blockNumber > to || log.removed || log.address.toLowerCase() !== contract,
  )
  if (isOther) throw new Error('The node answered with logs that it was not asked for.')
  const inOrder = [...logs].sort(
    (one, other) => Number(one.blockNumber - other.blockNumber) || one.logIndex - other.logIndex,
  )
  return inOrder.map((log) => {
    const at = { channelId: lower(log.args.channelId), block: log.blockNumber }
    if (log.eventName === 'ChannelOpened') {
      const { consumer, provider, deposit } = log.args
      return { ...at, kind: 'opened', consumer: lower(consumer), provider: lower(provider), deposit }
    }
    if (log.eventName === 'ChannelClaimed') {
      return { ...at, kind: 'claimed', provider: lower(log.args.provider), amount: log.args.amount }
    }
    return { ...at, kind: 'closed', consumer: lower(log.args.consumer), refund: log.args.refund }
  })
}

export const lower = <text extends Hex | Address>(text: text) => text.toLowerCase() as text
