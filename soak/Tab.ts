/** What a consumer knows of one channel: what it was told, and what it could not be told. Base units. */
import type { Hex, LocalAccount } from 'viem'

export type Tab = {
  readonly channelId: Hex
  readonly consumer: LocalAccount
  readonly deposit: bigint
  /** Sum of the costs of the answers that came. */
  readonly told: bigint
  /** Of requests whose answers were lost: what they may have cost beyond what is told. */
  readonly unknown: bigint
  /** Quotes of requests that run. */
  readonly running: bigint
  /** The highest `X-DRAIN-Total` that was told. */
  readonly total: bigint
  readonly requests: number
  /** Why nothing is asked of it any more. */
  over: string | undefined
  /** Vouchers that have paid for an answer: nobody takes them again. */
  readonly spent: string[]
  readonly story: string[]
  note(line: string): void
  nonce(): bigint
  /** The cumulative amount that covers another request of this quote for sure; `undefined` when the deposit doesn't. */
  cover(quote: bigint): bigint | undefined
  begin(quote: bigint): void
  /** A request's end. `cost`: what it is known to have cost; `unknown`: what it may have cost beyond that. */
  end(quote: bigint, result: { cost: bigint; unknown?: bigint; total?: bigint | undefined }): void
}

const longestStory = 3_000

export function createTab(options: {
  channelId: Hex
  consumer: LocalAccount
  deposit: bigint
  /** Milliseconds of the run's clock. */
  now: () => number
}): Tab {
  const { channelId, consumer, deposit, now } = options
  const tab = { told: 0n, unknown: 0n, running: 0n, total: 0n, requests: 0 }
  let nonces = 0n
  const story: string[] = []
  const spent: string[] = []
  return {
    ...{ channelId, consumer, deposit, story, spent },
    over: undefined,
    get told() {
      return tab.told
    },
    get unknown() {
      return tab.unknown
    },
    get running() {
      return tab.running
    },
    get total() {
      return tab.total
    },
    get requests() {
      return tab.requests
    },
    note(line) {
      story.push(`${new Date(now()).toISOString()} ${line}`)
      if (story.length > longestStory) story.splice(1, 1)
    },
    nonce() {
      nonces += 1n
      return nonces
    },
    cover(quote) {
      const amount = tab.told + tab.unknown + tab.running + quote
      return amount <= deposit ? amount : undefined
    },
    begin(quote) {
      tab.running += quote
      tab.requests += 1
    },
    end(quote, { cost, unknown = 0n, total = 0n }) {
      tab.running -= quote
      tab.told += cost
      tab.unknown += unknown
      if (total > tab.total) tab.total = total
    },
  }
}
