/** What the chain says of a channel, remembered for moments: whoever asks for it again and again does not ask the node. */
import { Channel, ContractError, Usdc } from '@drain/core'
import type { Address, Hex } from 'viem'
import { Problem } from '../problem.ts'
import type { Sql } from '../store/Database.ts'
import type { ChainClient } from './clients.ts'

/** Amounts are decimal USDC. */
export type ChannelStatus = {
  channelId: Hex
  chainId: number
  contract: Address
  /** `expired`: its consumer may close it; `closed`: it is settled. */
  state: 'open' | 'expired' | 'closed'
  consumer: Address
  provider: Address
  /** `null` where it was closed before the directory saw it open. */
  deposit: string | null
  claimed: string
  /** What is left to be claimed; of a closed channel nothing. */
  remaining: string
  /** Unix seconds, and the same as ISO 8601; `null` for a closed one, of which the contract keeps nothing. */
  expiry: number | null
  expiresAt: string | null
}

const rememberedMs = 5_000
const mostRemembered = 2_000
/** Channels that are looked up within a second; who asks for more asks later. */
const mostPerSecond = 20

export function createChannelStatus({
  chains,
  database,
  now,
}: {
  chains: readonly ChainClient[]
  database: Sql
  /** Unix milliseconds. */
  now(): number
}) {
  const known = new Map<string, { at: number; found: Promise<ChannelStatus | undefined> }>()
  let second = 0
  let asked = 0

  /**
   * The channel on one chain, or on whichever has it. `undefined` where there is none.
   *
   * @throws {Problem} 400 for a chain that isn't known, 503 when the node doesn't answer or is asked too much.
   */
  return async function channelStatus(channelId: Hex, chainId?: number): Promise<ChannelStatus | undefined> {
    const wanted = chains.filter(({ deployment }) => chainId === undefined || deployment.chainId === chainId)
    if (wanted.length === 0) {
      const all = chains.map(({ deployment }) => deployment.chainId).join(', ')
      throw new Problem(400, 'unknown_chain', `Chain ${chainId} is none of this directory.`, {
        action: `There are ${all}.`,
      })
    }
    for (const chain of wanted) {
      const found = await remembered(chain, channelId)
      if (found) return found
    }
    return undefined
  }

  function remembered(chain: ChainClient, channelId: Hex): Promise<ChannelStatus | undefined> {
    const key = `${chain.deployment.chainId} ${chain.deployment.contract} ${channelId}`
    const before = known.get(key)
    if (before && now() - before.at < rememberedMs && now() >= before.at) return before.found
    take()
    const found = read(chain, channelId)
    const entry = { at: now(), found }
    known.delete(key)
    known.set(key, entry)
    const oldest = known.size > mostRemembered ? known.keys().next().value : undefined
    if (oldest !== undefined) known.delete(oldest)
    found.catch(() => {
      if (known.get(key) === entry) known.delete(key)
    })
    return found
  }

  /** @throws {Problem} 503 */
  function take(): void {
    const current = Math.floor(now() / 1_000)
    if (current !== second) {
      second = current
      asked = 0
    }
    asked += 1
    if (asked > mostPerSecond) {
      throw new Problem(503, 'busy', 'Too many channels are asked for at the moment.', {
        action: 'Try again in a second.',
        headers: { 'Retry-After': '1' },
      })
    }
  }

  async function read(
    { deployment, client }: ChainClient,
    channelId: Hex,
  ): Promise<ChannelStatus | undefined> {
    const { chainId, contract } = deployment
    const [channel, block] = await Promise.all([
      client.readContract({
        address: contract,
        abi: ContractError.callAbi,
        functionName: 'getChannel',
        args: [channelId],
      }),
      client.getBlock(),
    ]).catch(() => {
      throw new Problem(503, 'chain_unavailable', 'The chain can’t be read at the moment.', {
        action: 'Try again in a moment.',
        headers: { 'Retry-After': '5' },
      })
    })
    const [consumer, provider, deposit, claimed, expiry] = channel
    if (!Channel.exists({ id: channelId, consumer, provider, deposit, claimed, expiry })) {
      return readClosed(deployment, channelId)
    }
    const local = BigInt(Math.floor(now() / 1_000))
    const time = block.timestamp > local ? block.timestamp : local
    return {
      ...{ channelId, chainId, contract, consumer, provider },
      state: time >= expiry ? 'expired' : 'open',
      deposit: Usdc.format(deposit),
      claimed: Usdc.format(claimed),
      remaining: Usdc.format(deposit - claimed),
      expiry: Number(expiry),
      expiresAt: isoOf(expiry),
    }
  }

  /** The contract answers alike for channels that never were and for closed ones: those that were, the followed events have shown. */
  async function readClosed(
    { chainId, contract }: ChainClient['deployment'],
    channelId: Hex,
  ): Promise<ChannelStatus | undefined> {
    const row = await database.one<Record<'consumer' | 'provider' | 'deposit' | 'paid', string>>(
      `SELECT consumer, provider, CAST(deposit AS TEXT) AS deposit, CAST(paid AS TEXT) AS paid FROM payments
       WHERE chain_id = $1 AND contract = $2 AND channel_id = $3`,
      ...[chainId, contract.toLowerCase(), channelId],
    )
    if (!row?.consumer) return undefined
    return {
      ...{ channelId, chainId, contract, state: 'closed' },
      consumer: row.consumer as Address,
      provider: row.provider as Address,
      deposit: row.deposit === '0' ? null : Usdc.format(BigInt(row.deposit)),
      claimed: Usdc.format(BigInt(row.paid)),
      ...{ remaining: '0', expiry: null, expiresAt: null },
    }
  }
}

/** Contracts bound durations, so that this is a date; of one that doesn't, it may be none. */
function isoOf(seconds: bigint): string | null {
  const date = new Date(Number(seconds) * 1_000)
  return Number.isNaN(date.getTime()) ? null : date.toISOString()
}
