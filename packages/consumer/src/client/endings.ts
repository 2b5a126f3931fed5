import { ChannelNotFoundError, drainChannelAbi, UntrustedProviderError, Usdc } from '@drain/core'
import type { Hash, Hex } from 'viem'
import { getBlock, getBlockNumber, getContractEvents } from 'viem/actions'
import { getChannel } from '../actions/getChannel.ts'
import type { ChannelBook } from './ChannelBook.ts'
import type { ChannelRecord } from './records.ts'
import * as Tally from './Tally.ts'
import type { Wallet } from './Wallet.ts'

/** How a channel ended; amounts in base units, as the chain has them. */
export type Closing = { channelId: Hex; finalAmount: bigint; refund: bigint; txHash: Hash }

/** Blocks that are looked at for events at most, and at a time; nodes answer for so many. */
export const usualBlocks = 90_000n
export const windowBlocks = 9_000n

/**
 * How long and for how many blocks a node must say that a channel isn't there, before that is believed without the event of its
 * closing. Milliseconds.
 */
const patience = 180_000
const patienceBlocks = 32n

/**
 * What became of channels on the chain. A node may be behind: that it doesn't find a channel means nothing yet, the event of the
 * channel's closing does.
 */
export type Endings = ReturnType<typeof createEndings>

export function createEndings(options: {
  wallet: Wallet
  book: ChannelBook
  onClosed: (record: ChannelRecord, closing: Closing) => void
  /** Unix milliseconds. */
  now: () => number
}) {
  const { wallet, book, onClosed, now } = options
  const { deployment, publicClient } = wallet

  async function isOnChain(channelId: Hex, blockNumber?: bigint): Promise<boolean> {
    try {
      await getChannel(publicClient, { deployment, channelId, blockNumber })
      return true
    } catch (error) {
      if (error instanceof ChannelNotFoundError) return false
      throw error
    }
  }

  /** The event of a channel's closing, from the latest block back to when it was opened. */
  async function findClosing({ channelId, expiry, duration }: ChannelRecord) {
    const head = await getBlockNumber(publicClient)
    for (let last = head; ; last -= windowBlocks) {
      const first = last < windowBlocks ? 0n : last - windowBlocks + 1n
      const [event] = await getContractEvents(publicClient, {
        address: deployment.contract,
        abi: drainChannelAbi,
        eventName: 'ChannelClosed',
        args: { channelId },
        fromBlock: first,
        toBlock: last,
        strict: true,
      })
      if (event) return { refund: event.args.refund, txHash: event.transactionHash }
      if (first === 0n || head - first >= usualBlocks) return undefined
      const { timestamp } = await getBlock(publicClient, { blockNumber: first })
      if (timestamp < expiry - duration) return undefined
    }
  }

  /**
   * Whether a channel has been absent so long that no node is that far behind. Remembers since when. Of several nodes behind one
   * address one may stand still for days, and another one tell the latest block: so that block itself is asked.
   */
  async function isLongAbsent({ channelId, absent }: ChannelRecord): Promise<boolean> {
    const block = await getBlockNumber(publicClient, { cacheTime: 0 })
    if (!absent) await book.setAbsent(channelId, { since: now(), block })
    if (!absent || now() - absent.since < patience || block - absent.block < patienceBlocks) return false
    return !(await isOnChain(channelId, block).catch(() => true))
  }

  /**
   * Writes down how a channel ended, and tells it: once, whoever sees it first.
   *
   * @param refused The code that its provider refused it with.
   * @throws {UntrustedProviderError} The provider took more than it charged.
   */
  async function end(
    channelId: Hex,
    { refund, txHash }: { refund: bigint; txHash: Hash },
    refused?: string,
  ): Promise<Closing> {
    const finalAmount = book.get(channelId).tally.deposit - refund
    const closing = { channelId, finalAmount, refund, txHash }
    const before = await book.setClosed(channelId, finalAmount, refused)
    if (!before) return closing
    onClosed(before, closing)
    await judge(book.get(channelId))
    return closing
  }

  /**
   * Tells once of a channel that cost more than was charged. What is under way may be charged, so this may show only later.
   *
   * @throws {UntrustedProviderError}
   */
  async function judge(record: ChannelRecord): Promise<void> {
    const { channelId, finalAmount = 0n, tally } = record
    if (finalAmount <= Tally.bound(tally) || !(await book.setTold(channelId))) return
    const refund = Usdc.display(tally.deposit - finalAmount)
    throw overcharged(record, finalAmount, `The channel is closed; ${refund} came back.`)
  }

  return {
    end,
    judge,

    /**
     * Looks whether a channel is still there, and ends it in the book if it isn't. `unseen`: the node finds neither the channel
     * nor its closing, so it may be behind.
     *
     * @param refused The code that its provider refused it with.
     * @throws {UntrustedProviderError} It is closed, and the provider took more than it charged.
     */
    async settle(channelId: Hex, refused?: string): Promise<'open' | 'closed' | 'unseen'> {
      if (await isOnChain(channelId)) {
        if (book.get(channelId).absent) await book.setAbsent(channelId, undefined)
        return 'open'
      }
      const record = book.get(channelId)
      // A node that keeps no events knows less.
      const closing = await findClosing(record).catch(() => undefined)
      if (closing) await end(channelId, closing, refused)
      else if (!(await isLongAbsent(record))) return 'unseen'
      else await book.setClosed(channelId, undefined, refused)
      return 'closed'
    },
  }
}

/** A provider takes, or wants to take, more than can rightly have been charged. */
export function overcharged(
  { channelId, origin, tally }: ChannelRecord,
  finalAmount: bigint,
  action: string,
): UntrustedProviderError {
  return new UntrustedProviderError(
    `${origin} takes ${Usdc.display(finalAmount)} for channel ${channelId}, of which at most ${Usdc.display(Tally.bound(tally))} was charged.`,
    action,
  )
}
