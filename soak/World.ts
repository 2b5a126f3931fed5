/** What everybody in a run shares: the chain, the provider's address, the clock, what was counted, what went wrong. */
import type { LocalChain } from '@drain/consumer/testing'
import type { Hex } from 'viem'
import type { Tab } from './Tab.ts'
import type { Wallets } from './Wallets.ts'

export type World = {
  chain: LocalChain
  wallets: Wallets
  provider: Hex
  domainSeparator: Hex
  /** Where the server listens. */
  url: string
  /** Milliseconds of the run's clock, which leaps. */
  now(): number
  /** How often it leapt. */
  leaps: number
  tabs: Map<Hex, Tab>
  /** How often what happened. */
  counts: Map<string, number>
  count(what: string): void
  /** What must not happen: shown at the end, and then the run has failed. */
  violations: { channelId: Hex | undefined; what: string }[]
  violate(tab: Tab | undefined, what: string): void
  /** No new work from now on. */
  isEnding: boolean
  pause(ms: number): Promise<void>
}
