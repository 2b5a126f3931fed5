/**
 * The channels that were opened for a provider lately, from the contract's events: one question to the node for all of them,
 * asked only while there are more unknown ids than lookups. Inventing ids is free, an id in here has cost a deposit.
 */
import { ContractError, type Deployment } from '@drain/core'
import type { Address, Hex, PublicClient } from 'viem'

export type RecentOpens = {
  /**
   * Whether a channel is known to have been opened for the provider lately. Never waits: what it knows is at most seconds
   * old, or being refreshed.
   */
  has(channelId: Hex): boolean
}

/** Blocks that are looked back at; public nodes refuse long ranges. */
const window = 1_000n
/** Blocks read again each time: a reorganisation may have put other channels in them. */
const overlap = 16n
const refreshMs = 2_000
/** Channels remembered, the latest. */
const remembered = 10_000

export function createRecentOpens(options: {
  client: PublicClient
  deployment: Deployment.Deployment
  provider: Address
  /** Milliseconds. */
  clock: () => number
}): RecentOpens {
  const { client, deployment, provider, clock } = options
  const opened = new Set<Hex>()
  let readAt = Number.NEGATIVE_INFINITY
  let readTo = 0n
  let isReading = false

  async function refresh(): Promise<void> {
    const head = await client.getBlockNumber({ cacheTime: 0 })
    const oldest = head > window ? head - window : 0n
    const next = readTo > overlap ? readTo - overlap : 0n
    const logs = await client.getContractEvents({
      address: deployment.contract,
      abi: ContractError.callAbi,
      eventName: 'ChannelOpened',
      args: { provider },
      fromBlock: next > oldest ? next : oldest,
      toBlock: head,
      strict: true,
    })
    readTo = head
    for (const { args } of logs) {
      opened.delete(args.channelId)
      opened.add(args.channelId)
    }
    for (const id of opened) {
      if (opened.size <= remembered) break
      opened.delete(id)
    }
  }

  return {
    has(channelId) {
      if (!isReading && Math.abs(clock() - readAt) > refreshMs) {
        isReading = true
        readAt = clock()
        refresh()
          .catch(() => {}) // the next one tries again
          .finally(() => {
            isReading = false
          })
      }
      return opened.has(channelId)
    },
  }
}
