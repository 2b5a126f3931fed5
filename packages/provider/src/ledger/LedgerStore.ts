import type { Hex } from 'viem'
import type { Account, Lease } from './Account.ts'
import type { ChannelFilter, ChargedDay, ClaimRecord, DayRange, LedgerTotals, Outcome } from './Ledger.ts'
import type { DecideNote, Note } from './Notebook.ts'

/**
 * Where `createLedger` keeps its channels: it reads and writes records, and decides nothing. Ids are lower case.
 *
 * Every method rejects with `LedgerUnavailableError` when the store fails.
 */
export interface LedgerStore {
  /**
   * One atomic step on one channel: `decide` gets what is stored and returns what to write, and the promise resolves with its
   * result once that is durable. Nobody else, in this process or another, changes the channel in between.
   *
   * `decide` is pure: a store may call it again when another process was faster. If it throws, nothing was written and
   * others are not affected. Steps on one channel from one process happen in the order of their calls.
   */
  update<result>(channelId: Hex, decide: Decide<result>): Promise<result>

  /** What is durable now. */
  read(channelId: Hex): Promise<Found>

  /** What this process last knew of a channel, or `read` when it knows nothing: may be behind other processes. */
  glance(channelId: Hex): Promise<Found>

  /** The accounts that match, oldest first, in portions small enough to be read in one go; some may be empty. */
  pages(filter: ChannelFilter): AsyncIterable<readonly Account[]>

  totals(): Promise<LedgerTotals>

  /** Not one whose time is up. */
  outcome(channelId: Hex, keyId: Hex): Promise<Outcome | undefined>

  /** Charges by day, oldest day first, today's included. */
  days(range: DayRange): AsyncIterable<readonly ChargedDay[]>

  /** In the order of their writing. */
  claims(range: DayRange): AsyncIterable<readonly ClaimRecord[]>

  /** One atomic step on one note, as `update` is one on a channel. `key` and text were checked. */
  writeNote<result>(key: string, decide: DecideNote<result>): Promise<result>

  /**
   * The first of the notes with `from <= key < until`, in the order of the bytes of their keys: as many as can be read in one
   * go, at least one if there is any. What is durable.
   */
  notes(from: string, until: string): Promise<readonly Note[]>

  /**
   * Drops outcomes whose time is up and the channels that `isOver`, each together with what belongs to it; their days and
   * claims stay, today's charges among them. `isOver` is asked about the account as it is now: `lapse` the record first.
   */
  prune(isOver: (account: Account, now: number) => boolean): Promise<{ channels: number; outcomes: number }>

  /** The store is open, sound, and belongs to this ledger. @throws LedgerFileError | LedgerUnavailableError */
  ready(): Promise<void>

  /** Finishes what was asked for before. Later calls reject. */
  close(): Promise<void>
}

/** What is stored of a channel, and the store's clock in milliseconds: the only one that leases know. */
export type Found = { record: ChannelRecord | undefined; now: number }

/** A channel's account with its leases, those that have ended left out. */
export type ChannelRecord = { readonly account: Account; readonly leases: readonly Lease[] }

export type Decide<result> = (record: ChannelRecord | undefined, now: number) => Decision<result>

/** A result, and what has to be durable before anybody hears of it. Without `write` nothing changes. */
export type Decision<result> = { readonly result: result; readonly write?: Writes | undefined }

/** All of it or nothing. */
export type Writes = {
  readonly record: ChannelRecord
  /** The answer to a request that had an idempotency key. */
  readonly outcome?: (Outcome & { keyId: Hex; endsAt: number }) | undefined
  /** What had been charged by the end of an earlier day, before this step charges on another. */
  readonly dayEnd?: DayEnd | undefined
  readonly claim?: ClaimRecord | undefined
}

/** A channel's cumulative charges at the end of a day. `day`: days since 1970-01-01, UTC. */
export type DayEnd = { readonly day: number; readonly charged: bigint; readonly requests: bigint }
