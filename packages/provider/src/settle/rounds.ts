/** What is done now and then: claims that are worth it, and those of channels that are about to expire. */
import { Deployment, DrainError, Duration, Usdc } from '@drain/core'
import type { Hex } from 'viem'
import type { ChannelState, Ledger } from '../ledger/Ledger.ts'
import * as Terms from '../verify/Terms.ts'
import { claimCostOf, parseNativePrice } from './gasCost.ts'
import { type ClaimCost, isWorthIt, judge, owed, type Reason } from './plan.ts'
import { batchSize, type Claims, type Settlement } from './Settlement.ts'
import type { Transactions } from './Transactions.ts'

/** How often and from what amount on a provider claims by itself. */
export type RoundsInput = {
  /** Between two rounds; three must fit into the margin before the expiry of the shortest channel. Default `1m`. */
  interval?: string | undefined
  /** Channels that owe at least this much (USDC), and ten times the gas of a claim, are claimed while they run. Default 10. */
  threshold?: string | undefined
  /** What the chain's own coin costs, in USDC, to tell what gas costs. Default: the provider's own `nativePrice`. */
  nativePrice?: string | undefined
}

/** Seconds between rounds, and base units from which a running channel is claimed, and that a native coin costs. */
export type RoundsPlan = { interval: bigint; threshold: bigint; nativePrice: bigint }

/** What a round found. Base units. `dust`: about to end, and not worth its gas. */
export type RoundResult = Claims & { dust: bigint }

/** USDC. */
export const defaultThreshold = '10'

/** How long a round waits for what runs on an expiring channel: long enough for streams to end, which were told to. */
const patienceMs = 1_000

/** Rounds that have to fit into the time before an expiry in which nothing is served any more. */
const roundsPerMargin = 3n

/** A channel that can't be claimed is tried again at least this often. */
const longestRestMs = 600_000

/**
 * @throws {DrainError} `settle_interval`: too long for the shortest channel.
 * @throws {InvalidAmountError | InvalidDurationError}
 */
export function planRounds(
  input: RoundsInput,
  terms: Pick<Terms.Terms, 'minDuration'>,
  chainId: number,
): RoundsPlan {
  const interval = Duration.parse(input.interval ?? '1m')
  const threshold = Usdc.parse(input.threshold ?? defaultThreshold)
  const nativePrice = parseNativePrice(input.nativePrice, chainId)
  if (interval * roundsPerMargin * 10n <= terms.minDuration) return { interval, threshold, nativePrice }
  throw new DrainError(
    'settle_interval',
    `Settling every ${Duration.format(interval)} is too slow for channels of ${Duration.format(terms.minDuration)}.`,
    {
      action: `Use an interval of at most a ${roundsPerMargin * 10n}th of the terms' minDuration, or raise that.`,
    },
  )
}

/** One round of claims. What can't be claimed is reported, and tried again by the next. */
export function createRound(options: {
  plan: RoundsPlan
  /** Wei per gas, at the moment. @throws whatever the node fails with */
  gasPrice: () => Promise<bigint>
  deployment: Deployment.Deployment
  ledger: Ledger
  settlement: Settlement
  transactions: Pick<Transactions, 'underWay'>
  /** Base units. */
  minPayout: bigint
  /** Unix seconds. */
  now: () => bigint
  /** Freezes a channel and fixes its final amount, unless requests still run on it after `patienceMs`. */
  drain: (channel: ChannelState, patienceMs: number) => Promise<boolean>
}): () => Promise<RoundResult> {
  const { plan, gasPrice, deployment, ledger, settlement, transactions, minPayout, now, drain } = options
  const hasBatches = Deployment.has(deployment, 'claimBatch')

  /** No gas while the node has never said: what is about to be lost must not wait for that. */
  const claimCost = async (): Promise<ClaimCost> =>
    claimCostOf(deployment, await gasPrice().catch(() => 0n), plan.nativePrice)

  /** Stops what runs on an expiring channel. A request that doesn't end must not keep what was charged from being claimed. */
  async function ended(state: ChannelState): Promise<ChannelState> {
    await drain(state, patienceMs)
    return (await ledger.get(state.channelId)) ?? state
  }

  /** Channels whose claim failed, with how often, and when they are tried again: nobody is to keep the others waiting. */
  const resting = new Map<Hex, { failures: number; until: number }>()

  function rest({ claimed, failed }: Claims): void {
    for (const { channelId } of claimed) resting.delete(channelId)
    for (const { channelId, code } of failed) {
      if (code !== 'not_claimable' && code !== 'transaction_reverted') continue
      const failures = (resting.get(channelId)?.failures ?? 0) + 1
      const ms = Math.min(Number(plan.interval) * 1_000 * 2 ** (failures - 1), longestRestMs)
      resting.set(channelId, { failures, until: performance.now() + ms })
    }
  }

  return async () => {
    const underWay = await transactions.underWay()
    const worth = { threshold: plan.threshold, minPayout, cost: await claimCost() }
    let dust = 0n
    const waiting: [ChannelState, Reason][] = []
    const expiring: ChannelState[] = []

    async function* due(): AsyncGenerator<ChannelState> {
      const soon = { unclaimed: plan.threshold, expiry: now() + Terms.longestMargin }
      for await (const state of ledger.channels({ unclaimedOver: 0n, due: soon })) {
        if (underWay.has(state.channelId)) continue
        // Announced and in no transaction: whoever did it died before it was sent.
        const reason = judge({ ...state, claiming: 0n }, { ...worth, now: now() })
        // One that is about to end is tried until it has.
        if (reason !== 'expiring' && (resting.get(state.channelId)?.until ?? 0) > performance.now()) continue
        if (reason === 'dust') dust += owed({ ...state, claiming: 0n })
        else if (reason) waiting.push([state, reason])
        if (waiting.length >= batchSize) yield* take()
      }
      yield* take()
    }

    async function* take(): AsyncGenerator<ChannelState> {
      const states = waiting.splice(0)
      const ends = states.filter(([, reason]) => reason !== 'threshold')
      if (!isWorthIt(sumOf(states), sumOf(ends), worth.cost)) {
        dust += sumOf(ends).amount
        return
      }
      const ready = await Promise.all(
        states.map(([state, reason]) => (reason === 'expiring' ? ended(state) : state)),
      )
      for (const [index, state] of ready.entries()) {
        // There only the whole signed amount can be claimed, which may be more than is owed: the last way to be paid.
        if (!hasBatches && states[index]?.[1] === 'expiring') expiring.push(state)
        else yield state
      }
    }

    const claims = await settlement.claimMany(due())
    if (expiring.length > 0) {
      const signed = await settlement.claimMany(expiring, { signed: true })
      claims.claimed.push(...signed.claimed)
      claims.pending.push(...signed.pending)
      claims.failed.push(...signed.failed)
      claims.waiting += signed.waiting
    }
    rest(claims)
    return { ...claims, dust }
  }
}

function sumOf(dues: readonly (readonly [ChannelState, Reason])[]): { count: number; amount: bigint } {
  const amount = dues.reduce((sum, [state]) => sum + owed({ ...state, claiming: 0n }), 0n)
  return { count: dues.length, amount }
}
