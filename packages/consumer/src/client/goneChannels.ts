import { ChannelNotFoundError, PaymentRejectedError } from '@drain/core'
import type { Hex } from 'viem'
import { getChannel } from '../actions/getChannel.ts'
import type { ChannelBook } from './ChannelBook.ts'
import type { Wallet } from './Wallet.ts'

/** How long after its opening a provider may wait for confirmations of a channel, in seconds. */
const confirmationPatience = 180n

const codes = new Set(['channel_expired', 'channel_closing', 'channel_not_found'])

/**
 * What to do about channels that a provider no longer takes, or doesn't yet. Its word alone opens no second channel: else
 * it could have one deposit after another locked.
 */
export type GoneChannels = ReturnType<typeof createGoneChannels>

export function createGoneChannels(options: {
  wallet: Wallet
  book: ChannelBook
  /** Unix milliseconds. */
  now: () => number
}) {
  const { wallet, book, now } = options
  const { deployment, publicClient } = wallet

  async function isOnChain(channelId: Hex): Promise<boolean> {
    try {
      await getChannel(publicClient, { deployment, channelId })
      return true
    } catch (error) {
      if (error instanceof ChannelNotFoundError) return false
      throw error
    }
  }

  return {
    /** Whether a refusal says that the channel is of no use. */
    isGone: (code: string): boolean => codes.has(code),

    /**
     * Whether a channel that the provider doesn't find was opened so recently that it waits for confirmations; answers
     * when it is worth another try.
     */
    async isYetToBeSeen(channelId: Hex, signal: AbortSignal | undefined): Promise<boolean> {
      const { expiry, duration, tally } = book.get(channelId)
      const age = BigInt(Math.floor(now() / 1_000)) - (expiry - duration)
      if (tally.delivered > 0n || age > confirmationPatience) return false
      await delay(publicClient.pollingInterval, signal)
      return isOnChain(channelId)
    },

    /**
     * Stops using a channel, so that the next one is opened.
     *
     * @throws {PaymentRejectedError} When the provider should still take it.
     */
    async retire(channelId: Hex, code: string): Promise<void> {
      const { origin, tally } = book.get(channelId)
      if (code === 'channel_not_found') {
        if (await isOnChain(channelId)) {
          const problem = `${origin} does not find channel ${channelId}, which is on chain.`
          throw new PaymentRejectedError(code, problem, 'Ask the provider: its node may be behind.')
        }
        book.setClosed(channelId, undefined)
      } else if (tally.delivered === 0n) {
        const problem = `${origin} refuses channel ${channelId} (${code}) and has served nothing on it.`
        throw new PaymentRejectedError(code, problem, 'Close it (client.close) before another is opened.')
      } else {
        book.setState(channelId, 'retired')
      }
      await book.save(channelId)
    },
  }
}

function delay(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort)
      resolve()
    }, milliseconds)
    if (signal?.aborted) abort()
    else signal?.addEventListener('abort', abort, { once: true })
  })
}
