import type { Address, Hex } from 'viem'
import type { Tally } from './Tally.ts'

/** What a client remembers of a channel. */
export type ChannelRecord = {
  channelId: Hex
  chainId: number
  contract: Address
  consumer: Address
  provider: Address
  /** The only origin that this channel's vouchers go to. */
  origin: string
  /** Unix seconds. */
  expiry: bigint
  /** Seconds it was opened for. */
  duration: bigint
  /**
   * `open`: pays requests. `retired`: pays none any more, its deposit is still locked. `closed`: gone from the chain.
   */
  state: 'open' | 'retired' | 'closed'
  /** What is under way counts as lost in a record: that is what it is to whoever reads it after a crash. */
  tally: Tally
  /** The last nonce used. */
  nonce: bigint | undefined
  /** What vouchers newly promised on the last day (UTC, `2026-01-31`) that had any. */
  promised: { day: string; amount: bigint }
  /** What the provider got in all, once closed. */
  finalAmount?: bigint | undefined
  /** The code its provider refused it with, when it was given up for that: it is closed before another is opened there. */
  refused?: string | undefined
}

/**
 * Where a client keeps its channels. `put` resolves when the record is safe: a client sends nothing before.
 *
 * One client at a time uses a store.
 */
export type ChannelStore = {
  list(): Promise<ChannelRecord[]>
  /** Inserts, or replaces the record of the same `channelId`. */
  put(record: ChannelRecord): Promise<void>
}

/** A store that lasts as long as the process. Channels left open in it are closed on chain after their expiry only. */
export function memoryStore(): ChannelStore {
  const records = new Map<Hex, ChannelRecord>()
  return {
    list: async () => [...records.values()],
    put: async (record) => {
      records.set(record.channelId, record)
    },
  }
}
