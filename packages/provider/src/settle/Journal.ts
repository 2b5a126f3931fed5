/**
 * Every transaction of the provider's account, written down before it is sent. One note per account nonce: whoever writes it
 * first has the nonce, so two processes never send different transactions under one, and a transaction that is sent again after
 * a crash is the very same.
 */
import type { Address, Hex } from 'viem'
import { decode as decodeJson, encode } from '../ledger/bigintJson.ts'
import type { Notebook } from '../ledger/Notebook.ts'

/**
 * `charge`: a consumer's transfer to the provider, of its own and from no channel. `fill`: a transfer of nothing, for a nonce that
 * would keep the later ones waiting.
 */
export type Kind = 'claim' | 'claimBatch' | 'claimAndClose' | 'open' | 'charge' | 'fill'

/** What a transaction takes from a channel: cumulative, base units. */
export type Take = { readonly channelId: Hex; readonly payAmount: bigint }

/** One signed form of a transaction; the others under its nonce differ in their fees. `at`: milliseconds. */
export type Attempt = {
  readonly hash: Hex
  /** Of the latest only, until the transaction is settled. */
  readonly raw?: Hex | undefined
  readonly at: number
}

/** What the chain made of it. `gasCost` in wei. */
export type Mined = {
  readonly hash: Hex
  readonly blockNumber: bigint
  readonly blockHash: Hex
  readonly succeeded: boolean
  readonly gasUsed: bigint
  readonly gasCost: bigint
}

/**
 * `pending`: written down, sent or not. `mined`: in a block that may still go away. `final`: booked. `replaced`: another
 * transaction has the nonce, for good.
 */
export type State = 'pending' | 'mined' | 'final' | 'replaced'

export type Entry = {
  readonly nonce: number
  readonly kind: Kind
  readonly takes: readonly Take[]
  /** What it is for, where that is no channel: whoever has sent it finds it again by this. */
  readonly subject?: string | undefined
  readonly attempts: readonly Attempt[]
  /** Wei per gas that no attempt may pay more than. */
  readonly limit: bigint
  readonly state: State
  readonly mined?: Mined | undefined
  /** When its nonce was used and no receipt of it was found for the first time (milliseconds). */
  readonly missingSince?: number | undefined
}

export type Journal = {
  /** Whether the entry is now the one of its nonce. `false`: the nonce is taken. */
  add(entry: Entry): Promise<boolean>
  /**
   * Puts an entry in the place of one that was settled, of a block that went away though it could not. `false`: there is none, or
   * it isn't settled.
   */
  replace(entry: Entry): Promise<boolean>
  get(nonce: number): Promise<Entry | undefined>
  /**
   * Puts what `change` makes of an entry in its place, in one step; what it returns `undefined` for stays. Resolves with the
   * entry as it is then.
   */
  change(nonce: number, change: (entry: Entry) => Entry | undefined): Promise<Entry>
  /** Above every nonce in the journal. */
  next(): Promise<number>
  /** Those whose outcome is not final yet, by nonce. */
  unsettled(): Promise<Entry[]>
  /** All that are kept, by nonce. */
  all(): AsyncGenerator<Entry>
  /** Drops those that are settled and older than `at` (milliseconds). What they cost is kept, in one sum. */
  prune(at: number): Promise<number>
  /** Wei that all transactions have cost that are mined, those that were dropped among them. */
  gasSpent(): Promise<bigint>
}

export const isSettled = ({ state }: Entry) => state === 'final' || state === 'replaced'

/** The journal of the account `sender`. */
export function createJournal(notebook: Notebook, sender: Address): Journal {
  const prefix = `tx/${sender.toLowerCase()}/`
  const keyOf = (nonce: number) => `${prefix}${nonce.toString().padStart(16, '0')}`
  /** The lowest nonce that may be unsettled. Only spares reading: one that is too low does no harm. */
  const settledKey = `settled/${sender.toLowerCase()}`

  const prunedKey = `pruned/${sender.toLowerCase()}`

  /** Nonces below which all were dropped, or are about to be, and what those cost in all (wei). */
  async function pruned(): Promise<{ below: number; gasCost: bigint }> {
    for await (const { key, text } of notebook.read(prunedKey)) if (key === prunedKey) return decodeJson(text)
    return { below: 0, gasCost: 0n }
  }

  async function settledBelow(): Promise<number> {
    for await (const { key, text } of notebook.read(settledKey)) if (key === settledKey) return Number(text)
    return 0
  }

  async function* from(nonce: number): AsyncGenerator<Entry> {
    for await (const { text } of notebook.read(prefix, { from: keyOf(nonce) })) yield decode(text)
  }

  return {
    add: (entry) =>
      notebook.write(keyOf(entry.nonce), (text) =>
        text === undefined ? { result: true, write: encode(entry) } : { result: false },
      ),
    async replace(entry) {
      const isReplaced = await notebook.write(keyOf(entry.nonce), (text) =>
        text !== undefined && isSettled(decode(text))
          ? { result: true, write: encode(entry) }
          : { result: false },
      )
      if (isReplaced) {
        await notebook.write(settledKey, (text) =>
          Number(text ?? 0) > entry.nonce
            ? { result: undefined, write: String(entry.nonce) }
            : { result: undefined },
        )
      }
      return isReplaced
    },
    async get(nonce) {
      for await (const entry of from(nonce)) return entry.nonce === nonce ? entry : undefined
      return undefined
    },
    change: (nonce, change) =>
      notebook.write(keyOf(nonce), (text) => {
        if (text === undefined) throw new Error(`The journal has no transaction with nonce ${nonce}.`)
        const entry = decode(text)
        const changed = change(entry)
        return changed ? { result: changed, write: encode(changed) } : { result: entry }
      }),
    async next() {
      let next = await settledBelow()
      for await (const { nonce } of from(next)) next = nonce + 1
      return next
    },
    async unsettled() {
      const entries: Entry[] = []
      let end = await settledBelow()
      const begin = end
      for await (const entry of from(begin)) {
        if (!isSettled(entry)) entries.push(entry)
        else if (entries.length === 0) end = entry.nonce + 1
      }
      if (end > begin) {
        await notebook.write(settledKey, (text) =>
          Number(text ?? 0) < end ? { result: undefined, write: String(end) } : { result: undefined },
        )
      }
      return entries
    },
    all: () => from(0),
    async prune(at) {
      const end = await settledBelow()
      const before = await pruned()
      const old: number[] = []
      let { below, gasCost } = before
      for await (const { nonce, attempts, mined } of from(0)) {
        if (nonce >= end || (attempts.at(-1)?.at ?? 0) >= at) break
        old.push(nonce)
        if (nonce < before.below) continue // in the sum: whoever put it there has died before it was dropped
        below = nonce + 1
        gasCost += mined?.gasCost ?? 0n
      }
      const isMine = await notebook.write(prunedKey, (text) => {
        const isAsRead = text === undefined ? before.below === 0 : text === encode(before)
        return isAsRead ? { result: true, write: encode({ below, gasCost }) } : { result: false }
      })
      if (!isMine) return 0 // another process is at it
      for (const nonce of old) await notebook.write(keyOf(nonce), () => ({ result: undefined, write: null }))
      return old.length
    },
    async gasSpent() {
      const { below, gasCost } = await pruned()
      let spent = gasCost
      for await (const { mined } of from(below)) spent += mined?.gasCost ?? 0n
      return spent
    },
  }
}

const decode = (text: string) => decodeJson<Entry>(text)
