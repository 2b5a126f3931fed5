/** How much is served on a channel whose open may still go away in a reorganisation. */
import { type Channel, type Rejection, Usdc } from '@drain/core'
import type { Hex } from 'viem'
import type { ChannelReader } from './ChannelReader.ts'

export type Exposure = {
  /**
   * Why a voucher is too high for a channel that is not final yet. Asks the node, once in a while, about vouchers above the limit
   * on channels that are new; about no others.
   * @throws {ChainUnavailableError}
   */
  judge(
    channel: Channel.Channel,
    amount: bigint,
    firstSeen: bigint | undefined,
    now: bigint,
  ): Promise<Rejection.Rejection | undefined>
}

/** Channels that are remembered as final; those of the ledger need no memory after an hour. */
const remembered = 10_000
const finalAfterSeconds = 3_600n
const askAgainMs = 2_000

export function createExposure(options: {
  channels: Pick<ChannelReader, 'read'>
  /** Blocks on top of one that can't go away any more. */
  finality: bigint
  /** Base units that are served before that, per channel. */
  limit: bigint
}): Exposure {
  const { channels, finality, limit } = options
  const final = new Set<Hex>()
  const asked = new Map<Hex, { at: number; answer: Promise<boolean> }>()

  /** Whether the channel was there so many blocks ago. Requests that come together share the question. */
  function isFinal({ id }: Channel.Channel): Promise<boolean> {
    const before = asked.get(id)
    if (before && performance.now() - before.at < askAgainMs) return before.answer
    const answer = channels.read(id, { depth: finality }).then(({ deposit }) => {
      if (deposit === 0n) return false
      final.add(id)
      asked.delete(id)
      forgetOldest(final)
      return true
    })
    answer.catch(() => asked.delete(id))
    asked.delete(id)
    asked.set(id, { at: performance.now(), answer })
    forgetOldest(asked)
    return answer
  }

  return {
    async judge(channel, amount, firstSeen, now) {
      if (finality === 0n || amount <= limit || final.has(channel.id)) return undefined
      if (firstSeen !== undefined && now - firstSeen > finalAfterSeconds) return undefined
      if (await isFinal(channel)) return undefined
      return {
        code: 'unavailable',
        message: `The channel was opened moments ago: until that is final it is good for ${Usdc.display(limit)}. Try again in a minute, or with a smaller voucher.`,
      }
    },
  }
}

function forgetOldest(known: Set<Hex> | Map<Hex, unknown>): void {
  if (known.size <= remembered) return
  const [oldest] = known.keys()
  if (oldest) known.delete(oldest)
}
