/**
 * What the chain says about channels, remembered: a paid request never waits for a node.
 *
 * An open channel's consumer, provider, deposit and expiry never change, and nobody but its provider can end or claim it
 * before its expiry. So a positive answer holds until then; a negative one is kept for seconds, and asking the node is
 * shared by concurrent requests and limited in rate, so that invented ids are no lever.
 */
import { Channel, ContractError, type Deployment, DrainError, Usdc } from '@drain/core'
import type { Hex, PublicClient } from 'viem'

/** A channel, or why there is none to serve. */
export type Lookup =
  | { status: 'found'; channel: Channel.Channel }
  | { status: 'unknown' }
  | { status: 'unconfirmed' }
  | { status: 'busy' }

export type ChannelReader = {
  /** @throws {ChainUnavailableError} */
  get(channelId: Hex): Promise<Lookup>
  /** The state on chain right now, past the cache. @throws {ChainUnavailableError} */
  read(channelId: Hex): Promise<Channel.Channel>
  /** Drops what is remembered of a channel, after it changed. */
  forget(channelId: Hex): void
  /** Unix seconds by the later of the local clock and the newest block seen. */
  now(): bigint
}

/** The node does not answer, or not sensibly. */
export class ChainUnavailableError extends DrainError {
  override readonly name = 'ChainUnavailableError'
  constructor(cause: unknown) {
    super('chain_unavailable', 'The chain cannot be read at the moment.', {
      action: 'Try again in a moment.',
      cause,
    })
  }
}

/** Blocks an open must be deep before it counts, by its deposit. */
export type Confirmations = (deposit: bigint) => bigint

const localChains = [31_337, 1_337]

/** None on a local chain; elsewhere more the more is at stake. */
export function defaultConfirmations(chainId: number): Confirmations {
  if (localChains.includes(chainId)) return () => 0n
  return (deposit) => (deposit <= Usdc.parse('10') ? 2n : deposit <= Usdc.parse('1000') ? 12n : 64n)
}

const remembered = 100_000
const rememberedUnknown = 10_000
const unknownForMs = 2_000
const headForMs = 10_000
const lookupsPerSecond = 50

export function createChannelReader(options: {
  client: PublicClient
  deployment: Deployment.Deployment
  confirmations?: Confirmations | undefined
  /** Milliseconds of the local clock. */
  clock?: (() => number) | undefined
}): ChannelReader {
  const {
    client,
    deployment,
    confirmations = defaultConfirmations(deployment.chainId),
    clock = Date.now,
  } = options
  const known = new Map<Hex, Channel.Channel>()
  const missing = new Map<Hex, { until: number; lookup: Lookup }>()
  const pending = new Map<Hex, Promise<Lookup>>()
  let tokens = lookupsPerSecond
  let refilledAt = clock()
  let head = 0n
  let headReadAt = Number.NEGATIVE_INFINITY

  async function read(channelId: Hex, blockNumber?: bigint): Promise<Channel.Channel> {
    try {
      const [consumer, provider, deposit, claimed, expiry] = await client.readContract({
        address: deployment.contract,
        abi: ContractError.callAbi,
        functionName: 'getChannel',
        args: [channelId],
        ...(blockNumber === undefined ? {} : { blockNumber }),
      })
      return { id: channelId, consumer, provider, deposit, claimed, expiry }
    } catch (error) {
      throw new ChainUnavailableError(error)
    }
  }

  async function readHead(): Promise<bigint> {
    headReadAt = clock()
    try {
      const block = await client.getBlock({ blockTag: 'latest' })
      if (block.timestamp > head) head = block.timestamp
      return block.number
    } catch (error) {
      throw new ChainUnavailableError(error)
    }
  }

  async function look(channelId: Hex): Promise<Lookup> {
    const [channel, blockNumber] = await Promise.all([read(channelId), readHead()])
    if (!Channel.exists(channel)) return { status: 'unknown' }
    const depth = confirmations(channel.deposit)
    if (depth > 0n) {
      const deep = blockNumber >= depth && (await read(channelId, blockNumber - depth))
      if (!deep || !Channel.exists(deep)) return { status: 'unconfirmed' }
    }
    return { status: 'found', channel }
  }

  function takeToken(): boolean {
    const now = clock()
    tokens = Math.min(lookupsPerSecond, tokens + ((now - refilledAt) / 1_000) * lookupsPerSecond)
    refilledAt = now
    if (tokens < 1) return false
    tokens -= 1
    return true
  }

  return {
    read,
    forget(channelId) {
      known.delete(channelId)
      missing.delete(channelId)
    },
    now() {
      if (clock() - headReadAt > headForMs) readHead().catch(() => {}) // the local clock stands in
      const local = BigInt(Math.floor(clock() / 1_000))
      return local > head ? local : head
    },
    async get(channelId) {
      const channel = known.get(channelId)
      if (channel) {
        known.delete(channelId) // the last used is the last evicted
        known.set(channelId, channel)
        return { status: 'found', channel }
      }
      const miss = missing.get(channelId)
      if (miss && miss.until > clock()) return miss.lookup
      const running = pending.get(channelId)
      if (running) return running
      if (!takeToken()) return { status: 'busy' }
      const lookup = look(channelId)
        .then((found) => {
          if (found.status === 'found') remember(known, channelId, found.channel, remembered)
          else
            remember(missing, channelId, { until: clock() + unknownForMs, lookup: found }, rememberedUnknown)
          return found
        })
        .finally(() => pending.delete(channelId))
      pending.set(channelId, lookup)
      return lookup
    },
  }
}

/** A map that forgets its oldest entry over `size`. */
function remember<value>(map: Map<Hex, value>, key: Hex, entry: value, size: number): void {
  map.delete(key)
  map.set(key, entry)
  if (map.size <= size) return
  const oldest = map.keys().next()
  if (!oldest.done) map.delete(oldest.value)
}
