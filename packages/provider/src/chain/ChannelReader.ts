/**
 * What the chain says about channels, remembered: a paid request never waits for a node.
 *
 * An open channel's consumer, provider, deposit and expiry never change, and nobody but its provider can end or claim it
 * before its expiry. So a positive answer holds until then; a negative one is kept for seconds. Asking the node is shared by
 * concurrent requests and limited in rate, so that invented ids are no lever; and while they use up that rate, channels that
 * were really opened for this provider are told apart by the contract's events.
 */
import { Channel, ContractError, type Deployment, DrainError, Usdc } from '@drain/core'
import type { Address, Hex, PublicClient } from 'viem'
import { createLookupBudget } from './LookupBudget.ts'
import { createRecentOpens } from './RecentOpens.ts'

/** A channel, or why there is none to serve. */
export type Lookup =
  | { status: 'found'; channel: Channel.Channel }
  | { status: 'unknown' }
  | { status: 'unconfirmed' }
  | { status: 'busy' }

export type ChannelReader = {
  /**
   * @param remoteAddress Who asks: each has a share of the lookups. Trap: a proxy's own address would make all of its clients
   * share one; leave it out unless the true one is known.
   * @throws {ChainUnavailableError}
   */
  get(channelId: Hex, remoteAddress?: string | undefined): Promise<Lookup>
  /**
   * The state on chain right now, past the cache; as it was `depth` blocks ago, or after the block `at`.
   * @throws {ChainUnavailableError}
   */
  read(channelId: Hex, options?: { depth?: bigint; at?: bigint }): Promise<Channel.Channel>
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

/** Chains on one machine: no reorganisations, and blocks only when there is something to mine. */
export const localChains = [31_337, 1_337]

/** None on a local chain; elsewhere more the more is at stake. */
export function defaultConfirmations(chainId: number): Confirmations {
  if (localChains.includes(chainId)) return () => 0n
  return (deposit) => (deposit <= Usdc.parse('10') ? 2n : deposit <= Usdc.parse('1000') ? 12n : 64n)
}

const remembered = 100_000
const rememberedUnknown = 10_000
const unknownForMs = 2_000
const headForMs = 10_000
/** How far a block's time may be ahead of the local clock, in seconds; on a chain of one machine time may jump. */
const mostAhead = 900n
/** How long lookups share a reading of the head. An older head only makes an open look less deep. */
const sharedHeadMs = 1_000
/** Lookups at the same time for channels that were really opened, while invented ones have used up the others. */
const parallelOpened = 16

export function createChannelReader(options: {
  client: PublicClient
  deployment: Deployment.Deployment
  /** Whose channels are let through while there are too many lookups. Nobody's, when left out. */
  provider?: Address | undefined
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
  const isLocal = localChains.includes(deployment.chainId)
  const known = new Map<Hex, Channel.Channel>()
  const missing = new Map<Hex, { until: number; lookup: Lookup }>()
  const pending = new Map<Hex, Promise<Lookup>>()
  const budget = createLookupBudget(clock)
  const opens =
    options.provider && createRecentOpens({ client, deployment, provider: options.provider, clock })
  let openedLookups = 0
  let head = 0n
  let headReadAt = Number.NEGATIVE_INFINITY
  let sharedHead: Promise<bigint> | undefined

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
      // A block from far ahead is a lie, or a clock that is wrong: no channel ends by it.
      const latest = BigInt(Math.floor(clock() / 1_000)) + (isLocal ? 2n ** 62n : mostAhead)
      if (block.timestamp > head && block.timestamp <= latest) head = block.timestamp
      return block.number
    } catch (error) {
      throw new ChainUnavailableError(error)
    }
  }

  /** The head's number, for lookups that come together. */
  function shareHead(): Promise<bigint> {
    if (sharedHead && Math.abs(clock() - headReadAt) <= sharedHeadMs) return sharedHead
    const reading = readHead()
    sharedHead = reading
    reading.catch(() => {
      if (sharedHead === reading) sharedHead = undefined
    })
    return reading
  }

  async function look(channelId: Hex): Promise<Lookup> {
    const [channel, blockNumber] = await Promise.all([read(channelId), shareHead()])
    if (!Channel.exists(channel)) return { status: 'unknown' }
    const depth = confirmations(channel.deposit)
    if (depth > 0n) {
      const deep = blockNumber >= depth && (await read(channelId, blockNumber - depth))
      if (!deep || !Channel.exists(deep)) return { status: 'unconfirmed' }
    }
    return { status: 'found', channel }
  }

  /** Leave to look up one unknown channel, to be given back; `undefined` when there are too many. */
  function takeLookup(channelId: Hex, remoteAddress: string | undefined): (() => void) | undefined {
    const end = budget.take(remoteAddress)
    if (end) return end
    if (!opens?.has(channelId) || openedLookups >= parallelOpened) return undefined
    openedLookups += 1
    return () => {
      openedLookups -= 1
    }
  }

  return {
    async read(channelId, { depth = 0n, at } = {}) {
      if (depth === 0n) return read(channelId, at)
      const head = await readHead()
      return read(channelId, head > depth ? head - depth : 0n)
    },
    forget(channelId) {
      known.delete(channelId)
      missing.delete(channelId)
      pending.delete(channelId) // what is being read may be from before
    },
    now() {
      if (clock() - headReadAt > headForMs) shareHead().catch(() => {}) // the local clock stands in
      const local = BigInt(Math.floor(clock() / 1_000))
      return local > head ? local : head
    },
    async get(channelId, remoteAddress) {
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
      const end = takeLookup(channelId, remoteAddress)
      if (!end) return { status: 'busy' }
      const lookup = look(channelId).finally(end)
      pending.set(channelId, lookup)
      try {
        const found = await lookup
        if (pending.get(channelId) !== lookup) return found // forgotten meanwhile
        if (found.status === 'found') remember(known, channelId, found.channel, remembered)
        else remember(missing, channelId, { until: clock() + unknownForMs, lookup: found }, rememberedUnknown)
        return found
      } finally {
        if (pending.get(channelId) === lookup) pending.delete(channelId)
      }
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
