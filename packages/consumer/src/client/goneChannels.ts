import { ChannelGoneError, ChannelNotFoundError, UntrustedProviderError, Usdc } from '@drain/core'
import { type Address, type Hex, isAddressEqual } from 'viem'
import { type ChannelBook, expiryMargin } from './ChannelBook.ts'
import type { Closer } from './closing.ts'
import { delay } from './delay.ts'
import type { Endings } from './endings.ts'
import { errorWords } from './errorWords.ts'
import type { ChannelRecord } from './records.ts'
import type { Wallet } from './Wallet.ts'

/** How long after its opening a provider may wait for confirmations of a channel, in milliseconds. */
const confirmationPatience = 180_000

/** After so many refused channels within so many milliseconds, no other is opened at an origin by itself. */
const mostRefused = 3
const refusedWithin = 3_600_000

const codes = new Set(['channel_expired', 'channel_closing', 'channel_not_found'])

/**
 * What to do about channels that a provider no longer takes, or doesn't yet. Its word alone opens no second channel: else
 * it could have one deposit after another locked. What it refuses is closed, on chain, before the next one is opened.
 */
export type GoneChannels = ReturnType<typeof createGoneChannels>

export function createGoneChannels(options: {
  wallet: Wallet
  book: ChannelBook
  closer: Closer
  endings: Endings
  /** Unix milliseconds. */
  now: () => number
}) {
  const { wallet, book, closer, endings, now } = options
  const seconds = () => BigInt(Math.floor(now() / 1_000))

  /** Clocks differ, and a provider may stop earlier than this client would. */
  function isNearExpiry({ expiry, duration }: ChannelRecord): boolean {
    return seconds() + 2n * expiryMargin(duration) >= expiry
  }

  return {
    /** Whether a refusal says that the channel is of no use. */
    isGone: (code: string): boolean => codes.has(code),

    /**
     * Whether a channel that the provider doesn't find was opened so recently that it waits for confirmations; answers
     * when it is worth another try.
     *
     * @throws {UntrustedProviderError} The provider has closed it, and took more than it charged.
     */
    async isYetToBeSeen(channelId: Hex, signal: AbortSignal | undefined): Promise<boolean> {
      const { expiry, duration, knownAt = 0, tally } = book.get(channelId)
      // The clock may be far behind the chain's: so what passes on it counts, too.
      const waited = now() - knownAt
      const age = Math.max(waited, now() - 1_000 * Number(expiry - duration))
      if (tally.delivered > 0n || waited < 0 || age > confirmationPatience) return false
      await delay(wallet.publicClient.pollingInterval, signal)
      // This client's node may be behind as well.
      return (await endings.settle(channelId, 'channel_not_found')) !== 'closed'
    },

    /**
     * Stops using a channel, so that the next one is opened.
     *
     * @throws {ChannelGoneError} When the provider should still take it.
     * @throws {UntrustedProviderError} When the provider has closed it, and took more than it charged.
     */
    async retire(channelId: Hex, code: string): Promise<void> {
      const { origin, state, expiry, tally } = book.get(channelId)
      // Parallel requests are refused together.
      if (state !== 'open') return
      if (code === 'channel_not_found') {
        const found = await endings.settle(channelId, code)
        if (found === 'open') {
          const problem = `${origin} does not find channel ${channelId}, which is on chain.`
          throw new ChannelGoneError(channelId, code, problem, 'Ask the provider: its node may be behind.')
        }
        if (found === 'unseen') {
          const problem = `${origin} does not find channel ${channelId}, nor does this client’s node find it or its end.`
          throw new ChannelGoneError(
            channelId,
            code,
            problem,
            'Try again in some minutes: a node may be behind.',
          )
        }
      } else if (tally.delivered === 0n) {
        const problem = `${origin} refuses channel ${channelId} (${code}) and has served nothing on it.`
        throw new ChannelGoneError(
          channelId,
          code,
          problem,
          'Close it (client.close) before another is opened.',
        )
      } else if (code === 'channel_expired' && !isNearExpiry(book.get(channelId))) {
        const problem = `${origin} says that channel ${channelId} has expired; it expires ${isoTime(expiry)}.`
        const action = 'Check the clocks. Close it (client.close) before another is opened.'
        throw new ChannelGoneError(channelId, code, problem, action)
      } else {
        await book.setRefused(channelId, code)
      }
    },

    /**
     * Tells once that a channel which was given up cost more than was charged, now that a request on it is given back.
     *
     * @throws {UntrustedProviderError}
     */
    judge: (channelId: Hex): Promise<void> => endings.judge(book.get(channelId)),

    /**
     * Closes the channels that an origin refused, unless no more than a little is left of them, or requests are under way on
     * them that it still serves.
     *
     * @throws {ChannelGoneError} One was not closed.
     * @throws {UntrustedProviderError} One was, and the provider took more than it charged.
     */
    async closeRefused(origin: string): Promise<void> {
      for (const record of book.list()) {
        const { channelId, state, refused, expiry, tally } = record
        if (record.origin !== origin || state !== 'retired' || !refused || isNearlyUsedUp(record)) continue
        if (isStillServed(record, now())) continue
        await closer(channelId).catch((error) => {
          if (book.get(channelId).state === 'closed') {
            if (error instanceof ChannelNotFoundError) return
            throw error
          }
          throw new ChannelGoneError(
            channelId,
            refused,
            `${origin} refuses channel ${channelId} (${refused}) with ${Usdc.display(tally.deposit - tally.delivered)} left in it, and it could not be closed: ${errorWords(error)}`,
            `No other deposit goes there before it is closed: try client.close again; from ${isoTime(expiry)} on the provider isn't needed for that.`,
          )
        })
      }
    },

    /**
     * Whether another channel may be opened at an origin without its caller's asking for it. One that takes each channel for a
     * few requests, and refuses it then, costs a deposit's time and two transactions each time.
     *
     * @throws {ChannelGoneError}
     */
    assertFewRefused(origin: string): void {
      const refused = book
        .list()
        .filter((record) => record.origin === origin && isRefusedEarly(record, now()))
        .sort((a, b) => (b.refusedAt ?? 0) - (a.refusedAt ?? 0))
      const [last, first] = [refused[0], refused[mostRefused - 1]]
      if (!last || !first) return
      const until = new Date((first.refusedAt ?? 0) + refusedWithin).toISOString()
      throw new ChannelGoneError(
        last.channelId,
        last.refused ?? '',
        `${origin} has refused ${refused.length} channels within an hour, the last one ${last.channelId} (${last.refused}).`,
        `No other is opened there by itself before ${until}; client.openChannel opens one now.`,
      )
    },

    /**
     * Closes a provider's expired channels, or all, to get back what is left of them. One that can't be closed stays counted.
     *
     * @throws {UntrustedProviderError} The provider took more of one than it charged.
     */
    async closeExpired(provider?: Address): Promise<void> {
      for (const record of book.list()) {
        const { channelId, state, expiry, tally } = record
        if ((provider && !isAddressEqual(record.provider, provider)) || state === 'closed') continue
        if (seconds() < expiry || tally.deposit <= tally.delivered) continue
        await closer(channelId).catch((error) => {
          if (error instanceof UntrustedProviderError) throw error
        })
      }
    },
  }
}

/** Refused a short while ago, though it wasn't about to end. */
function isRefusedEarly(record: ChannelRecord, now: number): boolean {
  const { refused, refusedAt } = record
  if (refused === undefined || refusedAt === undefined || refused === 'channel_expired') return false
  return refusedAt <= now && now < refusedAt + refusedWithin && !isNearlyUsedUp(record)
}

/** Given up for what its provider asked of one request; closing it would end the others. Those end by themselves. */
function isStillServed({ refused, flights }: ChannelRecord, now: number): boolean {
  if (refused !== 'exhausted' && refused !== 'undelivered') return false
  return Object.values(flights).some(({ until }) => until > now)
}

/** At most a hundredth is left: not worth a transaction. */
function isNearlyUsedUp({ tally: { deposit, delivered } }: ChannelRecord): boolean {
  return (deposit - delivered) * 100n <= deposit
}

function isoTime(seconds: bigint): string {
  return new Date(Number(seconds) * 1_000).toISOString()
}
