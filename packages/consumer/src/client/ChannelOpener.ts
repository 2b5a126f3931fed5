import { DrainError } from '@drain/core'
import { type Address, type Hex, isAddressEqual } from 'viem'
import { approveUsdc } from '../actions/approveUsdc.ts'
import { getAllowance } from '../actions/getAllowance.ts'
import { getUsdcBalance } from '../actions/getUsdcBalance.ts'
import { assertBalance, assertOpening, openChannel, openedChannel } from '../actions/openChannel.ts'
import { receiptOf, TransactionPendingError } from '../actions/transact.ts'
import type { ChannelBook } from './ChannelBook.ts'
import type { ChannelRecord } from './ChannelStore.ts'
import type { GoneChannels } from './goneChannels.ts'
import * as Limits from './Limits.ts'
import { openingTerms } from './openingTerms.ts'
import type { Terms } from './PriceList.ts'
import type { Wallet } from './Wallet.ts'

/** Who is to be paid how much, and on what terms. */
export type Need = { origin: string; provider: Address; quote: bigint; terms: () => Terms }

/** An opening that was sent and whose outcome is not known. */
type Unresolved = { hash: Hex; provider: Address; amount: bigint; duration: bigint }

/** See {@link createChannelOpener}. */
export type ChannelOpener = ReturnType<typeof createChannelOpener>

/**
 * Finds the channel that a request is paid from, or opens it: one opening at a time per origin, however many requests
 * wait for it.
 */
export function createChannelOpener(options: {
  wallet: Wallet
  book: ChannelBook
  goneChannels: Pick<GoneChannels, 'closeRefused' | 'closeExpired'>
  limits: Limits.Limits
}) {
  const { wallet, book, goneChannels, limits } = options
  const { deployment, account, client, publicClient } = wallet
  const consumer = account.address
  const openings = new Map<string, Promise<void>>()
  const unresolved = new Map<string, Unresolved>()

  async function open({ origin, provider, quote, terms }: Need): Promise<void> {
    const earlier = unresolved.get(origin)
    if (earlier) return resolve(origin, earlier)
    assertNoneUnused(origin, quote)
    Limits.assertDay(limits, book.promisedToday(), quote)
    await goneChannels.closeRefused(origin)
    // Deposits that can be taken back leave room for the next one.
    if (committedTo(provider) + limits.perChannel > limits.perProvider) {
      await goneChannels.closeExpired(provider)
    }

    // One at a time in the wallet too: openings share one allowance, and each takes exactly what was approved for it.
    // They share the limit per provider as well: what another origin has opened meanwhile counts.
    await wallet.exclusively(async () => {
      const committed = committedTo(provider)
      const { deposit: amount, duration } = openingTerms({ quote, terms: terms(), limits, committed })
      assertOpening(deployment, consumer, { provider, amount, duration })
      const [balance, allowance] = await Promise.all([
        getUsdcBalance(publicClient, { deployment, account }),
        getAllowance(publicClient, { deployment, account }),
      ])
      assertBalance(balance, amount, consumer)
      if (allowance < amount) await approveUsdc(client, { ...wallet.parameters, amount })
      try {
        const { channel } = await openChannel(client, { ...wallet.parameters, provider, amount, duration })
        await book.save(book.add(channel, origin, duration).channelId)
      } catch (error) {
        // Opening another one now could lock two deposits.
        if (error instanceof TransactionPendingError) {
          unresolved.set(origin, { hash: error.transactionHash, provider, amount, duration })
        }
        throw error
      }
    })
  }

  /** What a provider holds or has kept, with the openings to it that may still be mined. */
  function committedTo(provider: Address): bigint {
    let sum = book.committedTo(provider)
    for (const one of unresolved.values()) if (isAddressEqual(one.provider, provider)) sum += one.amount
    return sum
  }

  /** A fresh channel that can't be used says that something is wrong which another channel would not mend. */
  function assertNoneUnused(origin: string, quote: bigint): void {
    const unused = book
      .list()
      .find(({ origin: one, state, tally }) => one === origin && state === 'open' && tally.signed === 0n)
    if (!unused || unused.tally.deposit < quote) return
    const expiry = new Date(Number(unused.expiry) * 1_000).toISOString()
    throw new DrainError(
      'clock_differs',
      `Channel ${unused.channelId} expires ${expiry}, too soon to be used.`,
      {
        action: 'Set this machine’s clock right. Close the channel (client.close) if it is old.',
      },
    )
  }

  /** Waits for an opening that was sent before. If it failed, the next call opens anew. */
  async function resolve(origin: string, { hash, ...terms }: Unresolved): Promise<void> {
    const receipt = await receiptOf(publicClient, hash, wallet.parameters.timeout).catch((error) => {
      if (!(error instanceof TransactionPendingError)) unresolved.delete(origin)
      throw error
    })
    unresolved.delete(origin)
    if (receipt.status !== 'success') return
    const channel = await openedChannel(publicClient, receipt, { deployment, consumer, ...terms })
    await book.save(book.add(channel, origin, terms.duration).channelId)
  }

  return {
    /**
     * @throws {LimitExceededError} The limits leave no room for a channel.
     * @throws What the opening throws.
     */
    async channelFor(need: Need): Promise<ChannelRecord> {
      for (;;) {
        const usable = book.usable(need.origin, need.quote)
        if (usable) return usable
        let opening = openings.get(need.origin)
        if (!opening) {
          opening = open(need).finally(() => openings.delete(need.origin))
          openings.set(need.origin, opening)
        }
        await opening
      }
    },
  }
}
