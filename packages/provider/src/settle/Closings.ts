/**
 * How channels end, as their consumers are told: one note for each, written before anybody is told, so that every repeat gets the
 * same answer, also after a restart and from another process. And the ends that processes without the key have asked for.
 *
 * A note is believed only where the provider has signed what is in it: whoever serves may write notes, and need not have the key.
 */
import { CloseAuthorization, Deployment, Domain, Signature } from '@drain/core'
import type { Address, Hex, TransactionReceipt } from 'viem'
import { decode, encode } from '../ledger/bigintJson.ts'
import type { ChannelState } from '../ledger/Ledger.ts'
import type { Notebook } from '../ledger/Notebook.ts'
import type { Entry } from './Journal.ts'
import { hasClosed } from './receipts.ts'

/** How a channel ends: settled by the provider (`txHash`), or left to the consumer's `cooperativeClose` (`signature`). */
export type Closing = { channelId: Hex; finalAmount: bigint; txHash?: Hex; signature: Hex }

export type Closings = {
  /** What a channel's consumer was told, or is about to be. */
  get(channelId: Hex): Promise<Closing | undefined>
  /**
   * Writes down what a consumer will be told. The first signature of an amount stays, and what is not said of a transaction.
   * Resolves with what is to be told.
   */
  keep(closing: Closing): Promise<Closing>
  /** Writes down which transaction has closed a channel for good. */
  booked(entry: Entry, receipt: TransactionReceipt | undefined): Promise<void>
  /** Asks whoever has the key to end a channel, by its id in lower case. */
  ask(channelId: Hex): Promise<void>
  /** Whether a channel's end is asked for, and nobody has tried it since. */
  isAsked(channelId: Hex): Promise<boolean>
  /** The ids, in lower case, for each end that is asked for; what is no id is dropped. */
  asked(): AsyncIterable<Hex>
  /** An end that was asked for was tried: what came of it is written down. */
  tried(channelId: Hex): Promise<void>
  /** Drops what nothing was added to since `at` (milliseconds). The accounts have the transactions for good. */
  prune(at: number): Promise<void>
}

/** `at`: of the store's clock, milliseconds. */
type Note = Omit<Closing, 'channelId'> & { at: number }

const closed = 'closing/'
const asked = 'closing-asked/'

export function createClosings(options: {
  notebook: Notebook
  deployment: Deployment.Deployment
  provider: Address
}): Closings {
  const { notebook, deployment, provider } = options
  const domainSeparator = Domain.separator(deployment)
  const keyOf = (channelId: Hex) => `${closed}${channelId.toLowerCase()}`

  async function read(key: string): Promise<string | undefined> {
    for await (const note of notebook.read(key)) if (note.key === key) return note.text
    return undefined
  }

  function parse(channelId: Hex, text: string | undefined): Closing | undefined {
    if (text === undefined) return undefined
    try {
      const { at: _, ...told } = decode<Note>(text)
      const digest = CloseAuthorization.digest({ ...told, channelId }, domainSeparator)
      return Signature.isValid(digest, told.signature, provider) ? { ...told, channelId } : undefined
    } catch {
      return undefined
    }
  }

  function write({ channelId: _, ...told }: Closing, at: number): string {
    return encode({ ...told, at } satisfies Note)
  }

  return {
    get: async (channelId) => parse(channelId, await read(keyOf(channelId))),
    keep: (closing) =>
      notebook.write(keyOf(closing.channelId), (text, now) => {
        const kept = parse(closing.channelId, text)
        if (kept?.finalAmount !== closing.finalAmount) return { result: closing, write: write(closing, now) }
        if (!closing.txHash || closing.txHash === kept.txHash) return { result: kept }
        const added = { ...kept, txHash: closing.txHash }
        return { result: added, write: write(added, now) }
      }),
    async booked({ kind, takes }, receipt) {
      if (kind !== 'claimAndClose' || !receipt) return
      for (const { channelId } of takes) {
        if (!hasClosed(receipt, deployment, channelId)) continue
        await notebook.write(keyOf(channelId), (text, now) => {
          const kept = parse(channelId, text)
          const txHash = receipt.transactionHash
          if (!kept || kept.txHash === txHash) return { result: undefined }
          return { result: undefined, write: write({ ...kept, txHash }, now) }
        })
      }
    },
    ask: (channelId) =>
      notebook.write(`${asked}${channelId}`, (text, now) =>
        text === undefined ? { result: undefined, write: String(now) } : { result: undefined },
      ),
    isAsked: async (channelId) => (await read(`${asked}${channelId}`)) !== undefined,
    async *asked() {
      for await (const { key } of notebook.read(asked)) {
        const channelId = key.slice(asked.length)
        // Another spelling would be another channel to whoever ends them.
        if (/^0x[0-9a-f]{64}$/.test(channelId)) yield channelId as Hex
        else await notebook.write(key, () => ({ result: undefined, write: null }))
      }
    },
    tried: (channelId) => notebook.write(`${asked}${channelId}`, () => ({ result: undefined, write: null })),
    async prune(at) {
      for await (const { key, text } of notebook.read(closed)) {
        if (atOf(text) >= at) continue
        await notebook.write(key, (now) =>
          now === text ? { result: undefined, write: null } : { result: undefined },
        )
      }
    },
  }
}

/** What a channel pays in the end, in base units, once nothing can change that; `undefined` before. */
export function finalAmountOf(
  { status, reserved, charged, claimed, finalAmount }: ChannelState,
  deployment: Deployment.Deployment,
): bigint | undefined {
  if (finalAmount !== undefined) return finalAmount
  // Where only whole signed amounts can be claimed it stays open: see `createDrain`.
  if (Deployment.has(deployment, 'claimAndClose') || status === 'open' || reserved > 0n) return undefined
  return charged > claimed ? charged : claimed
}

/** Notes that say nothing sensible are old ones. */
function atOf(text: string): number {
  try {
    return Number(decode<Note>(text).at) || 0
  } catch {
    return 0
  }
}
