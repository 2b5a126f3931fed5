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
  /** What may still be held for requests that a killed server has left. */
  readonly held: bigint
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
  /**
   * Of several that were sent under one key one was lost, and another answered: a server that died between its look whether there is an
   * answer and its giving back has left what it held. That ends with its lease.
   */
  hold(quote: bigint): void
  /** A request's end. `cost`: what it is known to have cost; `unknown`: what it may have cost beyond that. */
  end(quote: bigint, result: { cost: bigint; unknown?: bigint; total?: bigint | undefined }): void
}

const longestStory = 3_000

/** How long a lease lasts that nobody renews, and some time for the next to look, in milliseconds. */
const leaseMs = 62_000

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
  let left: { quote: bigint; until: number }[] = []
  const heldNow = () => {
    left = left.filter(({ until }) => until > now())
    return left.reduce((sum, { quote }) => sum + quote, 0n)
  }
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
    get held() {
      return heldNow()
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
      const amount = tab.told + tab.unknown + tab.running + heldNow() + quote
      return amount <= deposit ? amount : undefined
    },
    begin(quote) {
      tab.running += quote
      tab.requests += 1
    },
    hold(quote) {
      left.push({ quote, until: now() + leaseMs })
    },
    end(quote, { cost, unknown = 0n, total = 0n }) {
      tab.running -= quote
      tab.told += cost
      tab.unknown += unknown
      if (total > tab.total) tab.total = total
    },
  }
}
