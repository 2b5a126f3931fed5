/** What a client remembers, as its store keeps it. Amounts in base units. */
import type { Address, Hex } from 'viem'
import type { Tally } from './Tally.ts'
import { headersWire } from './Wire.ts'

/** A session key: a key of one channel, which signs its vouchers without the wallet. */
export type SessionRecord = {
  address: Address
  /** The private key as the store seals it. */
  sealed: string
  /** What proves the key to provider and contract: 128 bytes. */
  proof: Hex
  /** Whether the provider has seen the proof; from then on 65 bytes of the key are enough. */
  isKnown: boolean
}

/** A request under way: what is reserved for it. */
export type Flight = {
  quote: bigint
  /** The client that sent it. */
  client: string
  /** Until when that client vouches for it, in Unix milliseconds; afterwards it is lost. */
  until: number
}

/** What a client remembers of a channel. */
export type ChannelRecord = {
  channelId: Hex
  chainId: number
  contract: Address
  consumer: Address
  provider: Address
  /** The only origin that this channel's vouchers go to. Empty where it isn't known: then none are signed. */
  origin: string
  /** Unix seconds. */
  expiry: bigint
  /** Seconds it was opened for. */
  duration: bigint
  /** When this client first knew of it, in Unix milliseconds of its own clock. */
  knownAt?: number | undefined
  /**
   * `open`: pays requests. `retired`: pays none any more, its deposit is still locked. `closed`: gone from the chain.
   */
  state: 'open' | 'retired' | 'closed'
  /** `inFlight` is the sum of the flights. */
  tally: Tally
  flights: Readonly<Record<string, Flight>>
  /** The last nonce used. */
  nonce: bigint | undefined
  session?: SessionRecord | undefined
  /** What the provider got in all, once closed. */
  finalAmount?: bigint | undefined
  /** The code its provider refused it with, when it was given up for that: it is closed before another is opened there. */
  refused?: string | undefined
  /** When it was refused, in Unix milliseconds. */
  refusedAt?: number | undefined
  /** Whether the caller was told that its provider took more than it charged. */
  isTold?: boolean | undefined
  /** Since when, in Unix milliseconds and by block, the node doesn't find it: it may be behind. */
  absent?: { since: number; block: bigint } | undefined
  /** The name of the wire that its origin was last paid through; the headers where it isn't said. */
  wire?: string | undefined
}

/** Through which wire a channel's vouchers go. */
export function wireOf({ wire }: ChannelRecord): string {
  return wire ?? headersWire.name
}

/** What happened within an hour, over all channels and schemes. */
export type HourRecord = {
  /** Its beginning, such as `2026-01-31T13`, UTC. */
  hour: string
  /** What was newly promised. */
  promised: bigint
  /** What providers reported as charged, as far as it is believed. */
  charged: bigint
}

/** What an origin got in payments of their own, without a channel. */
export type PayeeRecord = {
  origin: string
  /** The most that it can take of what was signed. */
  taken: bigint
  /** What it took for answers that were a success. */
  delivered: bigint
  /** What it can have taken on `day` for requests that got no such answer. */
  lost: bigint
  /** Such as `2026-01-31`, UTC. */
  day: string
}

/** An opening that was begun, and whose outcome is not known yet. Written before anything is signed or sent. */
export type OpeningRecord = {
  origin: string
  provider: Address
  amount: bigint
  duration: bigint
  /** Unix milliseconds. */
  begunAt: number
  /** The id it gets, where that is known beforehand. */
  channelId?: Hex | undefined
  /** The transaction, once it is sent. */
  hash?: Hex | undefined
  session?: Omit<SessionRecord, 'isKnown'> | undefined
  /** The authorization of a gasless one, as `POST /v1/open` takes it. Nothing else is signed while it holds. */
  authorization?: Record<string, string> | undefined
  /** Unix seconds: until when the authorization can still be used. */
  validBefore?: bigint | undefined
}

/** Whose turn it is at something that only one client may do at a time. */
export type LeaseRecord = {
  name: string
  client: string
  /** Unix milliseconds. */
  until: number
}

export type Records = {
  channel: ChannelRecord
  hour: HourRecord
  payee: PayeeRecord
  opening: OpeningRecord
  lease: LeaseRecord
}

/** JSON, with bigints as digits and an n. */
export function toText(record: unknown): string {
  return JSON.stringify(record, (_, value) => (typeof value === 'bigint' ? `${value}n` : value))
}

/** @throws On text that isn't {@link toText}'s. */
export function fromText(text: string): unknown {
  return JSON.parse(text, (_, value) =>
    typeof value === 'string' && /^-?[0-9]+n$/.test(value) ? BigInt(value.slice(0, -1)) : value,
  )
}
