import type { Channel, Deployment } from '@drain/core'
import { type Address, type Hex, isAddressEqual } from 'viem'
import { nextNonce } from '../nonce.ts'
import type { ChannelRecord, ChannelStore } from './ChannelStore.ts'
import * as Limits from './Limits.ts'
import * as Tally from './Tally.ts'

/** A reserved place for one request on one channel: what to sign for it. */
export type Slip = { channelId: Hex; quote: bigint; amount: bigint; nonce: bigint }

/**
 * A client's channels. All changes to their numbers happen here, synchronously, so that parallel requests never see or
 * sign the same ones; `save` then makes them durable.
 */
export type ChannelBook = ReturnType<typeof createChannelBook>

export function createChannelBook(options: {
  store: ChannelStore
  deployment: Deployment.Deployment
  consumer: Address
  limits: Limits.Limits
  /** Unix milliseconds. */
  now: () => number
}) {
  const { store, deployment, consumer, limits, now } = options
  const records = new Map<Hex, ChannelRecord>()
  let loading: Promise<void> | undefined

  async function read(): Promise<void> {
    for (const record of await store.list()) {
      const isOurs =
        record.chainId === deployment.chainId &&
        isAddressEqual(record.contract, deployment.contract) &&
        isAddressEqual(record.consumer, consumer)
      // Nonces of a store that missed the last ones would be used twice; the clock is above them all.
      const fromClock = nextNonce(undefined, now()) - 1n
      const nonce = record.nonce !== undefined && record.nonce > fromClock ? record.nonce : fromClock
      if (isOurs) records.set(record.channelId, { ...record, nonce })
    }
  }

  function get(channelId: Hex): ChannelRecord {
    const record = records.get(channelId)
    if (!record) throw new Error(`no channel ${channelId} in the book`)
    return record
  }

  function update(channelId: Hex, change: Partial<ChannelRecord>): void {
    records.set(channelId, { ...get(channelId), ...change })
  }

  function today(): string {
    return new Date(now()).toISOString().slice(0, 10)
  }

  function promisedToday(): bigint {
    const day = today()
    let sum = 0n
    for (const { promised } of records.values()) if (promised.day === day) sum += promised.amount
    return sum
  }

  /** Puts an amount down as signed, under a fresh nonce, unless a limit forbids it. */
  function promise(channelId: Hex, tally: Tally.Tally, amount: bigint, quote: bigint): Slip {
    const record = get(channelId)
    const raise = tally.signed - record.tally.signed
    Limits.assertRequest(limits, quote)
    Limits.assertDay(limits, promisedToday(), raise)
    const day = today()
    const before = record.promised.day === day ? record.promised.amount : 0n
    const nonce = nextNonce(record.nonce, now())
    update(channelId, { tally, nonce, promised: { day, amount: before + raise } })
    return { channelId, quote, amount, nonce }
  }

  return {
    /** Reads the store, once. */
    load(): Promise<void> {
      loading ??= read().catch((error) => {
        loading = undefined
        throw error
      })
      return loading
    },
    /** Makes a channel's numbers durable; what is under way is written down as lost. */
    async save(channelId: Hex): Promise<void> {
      const record = get(channelId)
      const { tally } = record
      await store.put({ ...record, tally: { ...tally, lost: tally.lost + tally.inFlight, inFlight: 0n } })
    },
    add(channel: Channel.Channel, origin: string, duration: bigint): ChannelRecord {
      const record: ChannelRecord = {
        channelId: channel.id,
        chainId: deployment.chainId,
        contract: deployment.contract,
        consumer,
        provider: channel.provider,
        origin,
        expiry: channel.expiry,
        duration,
        state: 'open',
        tally: Tally.start(channel.deposit),
        nonce: undefined,
        promised: { day: today(), amount: 0n },
      }
      records.set(channel.id, record)
      return record
    },
    get,
    find: (channelId: Hex): ChannelRecord | undefined => records.get(channelId),
    list: (): ChannelRecord[] => [...records.values()],
    promisedToday,
    /** Whom an origin is bound to: the provider of its channels that are not closed. */
    providerOf(origin: string): Address | undefined {
      for (const record of records.values()) {
        if (record.origin === origin && record.state !== 'closed') return record.provider
      }
      return undefined
    },
    /** What a provider holds of deposits or has kept, without what it delivered. */
    committedTo(provider: Address): bigint {
      let sum = 0n
      for (const { provider: one, state, finalAmount, tally } of records.values()) {
        if (!isAddressEqual(one, provider)) continue
        const held = state === 'closed' ? (finalAmount ?? tally.signed) : tally.deposit
        if (held > tally.delivered) sum += held - tally.delivered
      }
      return sum
    },
    /** An origin's open channel that a request of this price fits in and that is not about to expire; oldest first. */
    usable(origin: string, quote: bigint): ChannelRecord | undefined {
      const seconds = BigInt(Math.floor(now() / 1_000))
      for (const record of records.values()) {
        if (record.origin !== origin || record.state !== 'open') continue
        if (seconds + expiryMargin(record.duration) >= record.expiry) continue
        if (Tally.remaining(record.tally) >= quote) return record
      }
      return undefined
    },

    /**
     * A place for a request, or `undefined` when the deposit doesn't hold it.
     *
     * @throws {LimitExceededError}
     */
    reserve(channelId: Hex, quote: bigint): Slip | undefined {
      const { state, tally } = get(channelId)
      const reserved = state === 'open' ? Tally.reserve(tally, quote) : undefined
      return reserved && promise(channelId, reserved.tally, reserved.amount, quote)
    },
    /**
     * Another slip for the same request, after the provider asked for `required` in all with a price of `quote`.
     *
     * @throws {LimitExceededError} The old slip then still holds its place.
     */
    reconcile(
      slip: Slip,
      quote: bigint,
      required: bigint,
    ): Slip | 'unbelievable' | 'undelivered' | 'exhausted' {
      const { tally } = get(slip.channelId)
      const result = Tally.reconcile(tally, slip.quote, quote, required, limits.undelivered)
      return typeof result === 'string' ? result : promise(slip.channelId, result.tally, result.amount, quote)
    },
    /** The same slip to be sent again, under another nonce. */
    repeat(slip: Slip): Slip {
      const nonce = nextNonce(get(slip.channelId).nonce, now())
      update(slip.channelId, { nonce })
      return { ...slip, nonce }
    },
    /** The answer came and told its cost. */
    settle({ channelId, quote }: Slip, reported: { cost: bigint; total: bigint }): void {
      update(channelId, { tally: Tally.settle(get(channelId).tally, quote, reported, limits.undelivered) })
    },
    /** It may have been charged; nobody said so. */
    lose({ channelId, quote }: Slip): void {
      update(channelId, { tally: Tally.lose(get(channelId).tally, quote) })
    },
    /** It was refused or never sent. */
    release({ channelId, quote }: Slip): void {
      update(channelId, { tally: Tally.release(get(channelId).tally, quote) })
    },
    setState(channelId: Hex, state: 'open' | 'retired'): void {
      if (get(channelId).state !== 'closed') update(channelId, { state })
    },
    /** Gives a channel up because its provider refuses it. */
    setRefused(channelId: Hex, refused: string): void {
      if (get(channelId).state !== 'closed') update(channelId, { state: 'retired', refused })
    },
    setClosed(channelId: Hex, finalAmount: bigint | undefined): void {
      update(channelId, { state: 'closed', finalAmount })
    },
  }
}

/** How long before its expiry a provider stops serving a channel: an hour or a tenth of its duration. In seconds. */
export function expiryMargin(duration: bigint): bigint {
  const tenth = duration / 10n
  return tenth < 3_600n ? tenth : 3_600n
}
