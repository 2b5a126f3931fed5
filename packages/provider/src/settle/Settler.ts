/**
 * The worker beside the server, or in a process of its own: follows the chain, looks after transactions, and runs the rounds of
 * claims. Of several processes on one ledger, one does.
 */
import { type Deployment, Usdc } from '@drain/core'
import type { Address, Hex, LocalAccount, PublicClient } from 'viem'
import type { ChannelReader } from '../chain/ChannelReader.ts'
import { alarms } from '../ledger/alarms.ts'
import type { Ledger } from '../ledger/Ledger.ts'
import type { Logger } from '../observe/Log.ts'
import type { Metrics } from '../observe/Metrics.ts'
import { observeSettlement } from '../observe/observeSettlement.ts'
import { type ChargeBook, createChargeBook } from './ChargeBook.ts'
import { createClosings } from './Closings.ts'
import { codeOf } from './codeOf.ts'
import { doubtMissing, raiseDoubts } from './doubts.ts'
import { createDrain, type Drain, type RunningWork } from './drain.ts'
import { createFollower } from './Follower.ts'
import { claimCostOf, parseNativePrice } from './gasCost.ts'
import { createJournal } from './Journal.ts'
import { createLease } from './lease.ts'
import type { Worth } from './plan.ts'
import { createRound, defaultThreshold, type RoundsPlan } from './rounds.ts'
import { createSettlement, type Settlement } from './Settlement.ts'
import { createTransactions, defaultMaxGasPrice, type Transactions, type Unsettled } from './Transactions.ts'
import { keepUnpaidGas } from './unpaidGas.ts'
import { createAskingSettlement, withoutKey } from './withoutKey.ts'

export type Settler = {
  readonly settlement: Settlement
  readonly transactions: Transactions
  readonly charges: ChargeBook
  readonly drain: Drain
  /** One round now: the chain, the transactions, the claims. Never throws. */
  run(): Promise<void>
  /** Works by itself from now on. */
  start(): void
  /** Ends the round that runs and starts no more. */
  stop(): Promise<void>
  /** What keeps money from arriving, if anything does. Never throws. */
  problem(): Promise<Unsettled['problem'] | 'claims_failing' | undefined>
  /**
   * When this process last tried to follow the chain, if it leads or has led, and when it last got on with it. Milliseconds of the
   * local clock.
   */
  following(): { triedAt: number | undefined; followedAt: number }
  /** From what on something is claimed, at a price of gas (wei). */
  worth(gasPrice: bigint): Worth
}

/** How often the chain and the transactions are looked at. The claims have their own interval. */
const tickMs = 4_000
const leaseMs = 20_000
/** How long a piece of work keeps the lead, however long it takes. */
const longestWorkMs = 300_000
/** How long a round waits for the follower. */
const followMs = 8_000
const identifiedForMs = 60_000
const dayMs = 86_400_000
/** How many channels end at a time for servers without the key. */
const mostEndings = 50
/** Settled transactions stay in the journal for so long, and how channels ended; what they paid stays in the accounts for good. */
const keptForDays = 90

export function createSettler(options: {
  /** The provider's; only its address where the key is elsewhere: then nothing is sent or signed, and ends are asked for. */
  account: LocalAccount | Address
  /** How long an end that is asked for is waited for, in milliseconds. */
  patienceMs?: number | undefined
  client: PublicClient
  deployment: Deployment.Deployment
  ledger: Ledger
  channels: ChannelReader
  /** None: no rounds, only what is asked for. */
  plan: RoundsPlan | undefined
  maxGasPrice?: bigint | undefined
  finality: bigint
  /** What the chain's own coin costs, in USDC, where there is no plan that says it. */
  nativePrice?: string | undefined
  /** Base units. */
  minPayout: bigint
  running?: ((channelId: Hex) => Iterable<RunningWork>) | undefined
  metrics: Pick<Metrics, 'claims'>
  logger: Logger
  /** Milliseconds of the local clock. */
  clock?: (() => number) | undefined
}): Settler {
  const { client, deployment, ledger, channels, plan, finality, minPayout, metrics, logger } = options
  const { patienceMs = 20_000, clock = Date.now } = options
  const hasKey = typeof options.account !== 'string'
  const account = typeof options.account === 'string' ? withoutKey(options.account) : options.account
  const { notebook } = ledger
  const log = (message: string) => logger.warn(message)
  const nativePrice = plan?.nativePrice ?? parseNativePrice(options.nativePrice, deployment.chainId)
  const { maxGasPrice = defaultMaxGasPrice } = options
  /** More is not paid: a node that asks for a fortune must not make dust of everything. */
  const payable = (price: bigint) => (price < maxGasPrice ? price : maxGasPrice)
  let latestGasPrice: bigint | undefined

  /** Wei; the latest while the node doesn't say. */
  async function gasPrice(): Promise<bigint> {
    try {
      latestGasPrice = payable(await client.getGasPrice())
    } catch (error) {
      if (latestGasPrice === undefined) throw error
    }
    return latestGasPrice
  }

  const journal = createJournal(notebook, account.address)
  const closings = createClosings({ notebook, deployment, provider: account.address })
  const transactions: Transactions = createTransactions({
    ...{ account, client, deployment, finality, maxGasPrice: options.maxGasPrice, clock: options.clock },
    journal,
    async book(entry, receipt) {
      // First: once the books know a channel to be closed, what its consumer is told stays as it is.
      await closings.booked(entry, receipt)
      await plain.book(entry, receipt)
      if (receipt) await keepUnpaidGas(notebook, entry, receipt, deployment)
    },
    mayHaveHappened: (entry, block) => plain.mayHaveHappened(entry, block),
    onSettled: (entry, receipt) => settled(entry, receipt),
    onUndone: ({ takes }, head) =>
      raiseDoubts(
        notebook,
        takes.map(({ channelId }) => channelId),
        head,
      ),
  })
  const plain: Settlement = createSettlement({
    ...{ account, deployment, ledger, channels, closings, transactions, finality, minPayout, log },
    nativePrice,
    gasPrice,
    now: channels.now,
    // Another node may be ahead; in doubt it takes a little longer.
    onMissing: async (channelId) => {
      const { number } = await client.getBlock({ includeTransactions: false })
      await doubtMissing(notebook, { channelId, at: number })
    },
  })
  const charges = createChargeBook({
    ...{ client, deployment, notebook, transactions, finality, clock: options.clock, log: logger },
    provider: account.address,
  })
  const able = hasKey
    ? plain
    : createAskingSettlement(plain, { deployment, ledger, closings, patienceMs, log })
  const { settlement, settled, isFailing } = observeSettlement(able, { deployment, ledger, metrics, logger })
  const drain = createDrain({ deployment, ledger, running: options.running })
  const follower = createFollower({
    ...{ client, deployment, ledger, clock: options.clock, dust: minPayout, log: logger },
    provider: account.address,
    finality: { depth: finality },
    isOurs: transactions.isOurs,
    settleUntil: transactions.settleUntil,
    paidAbove: transactions.paidAbove,
    doubtCharges: charges.doubt,
    forget: channels.forget,
  })
  const lease = createLease(notebook, 'settler', leaseMs)
  const round =
    plan &&
    createRound({
      ...{ plan, gasPrice, deployment, ledger, settlement, transactions, minPayout, drain },
      now: channels.now,
    })
  const intervalMs = plan ? Number(plan.interval) * 1_000 : Number.POSITIVE_INFINITY

  let told: Unsettled['problem']
  let dust = 0n
  let isStopped = false
  let identifiedAt = Number.NEGATIVE_INFINITY
  let prunedAt = Number.NEGATIVE_INFINITY
  let roundAt = Number.NEGATIVE_INFINITY
  let working: Promise<void> = Promise.resolve()
  let isWaiting = false
  let timer: ReturnType<typeof setTimeout> | undefined
  let triedAt: number | undefined
  /** Channels that end for servers without the key. */
  const ending = new Map<Hex, Promise<void>>()

  /** A step that may fail, and is tried again by the next round. Messages of others may carry a node's URL with its key. */
  async function attempt<result>(what: string, step: () => Promise<result>): Promise<result | undefined> {
    try {
      return await step()
    } catch (error) {
      logger.warn(`${what} failed`, { code: codeOf(error) })
      return undefined
    }
  }

  /** Begins with the ends that servers without the key have asked for. Their blocks aren't waited for here. */
  async function endAsked(): Promise<void> {
    for await (const channelId of closings.asked()) {
      if (isStopped || ending.size >= mostEndings) return
      if (!ending.has(channelId)) ending.set(channelId, end(channelId))
    }
  }

  async function end(channelId: Hex): Promise<void> {
    await attempt('ending a channel that was asked for', () => settlement.close(channelId))
    // One that failed too: whoever still waits for it asks again.
    await attempt('answering for the end of a channel', () => closings.tried(channelId))
    ending.delete(channelId)
  }

  function follow(): Promise<unknown> {
    triedAt = clock()
    return follower.poll()
  }

  async function look(): Promise<void> {
    await attempt('looking for ends that are asked for', endAsked)
    // Far behind, it goes on by itself: claims must not wait for that.
    await attempt('following the chain', () => Promise.race([follow(), after(followMs)]))
    await attempt('looking after transactions', transactions.poll)
    await attempt('looking after charges', charges.poll)
    const { problem } = transactions
    if (problem && problem !== told) logger.error('transactions do not get on', { problem })
    told = problem
  }

  /** Nothing that a node of another chain says is true of this one's channels. */
  async function isRightChain(): Promise<boolean> {
    if (performance.now() - identifiedAt < identifiedForMs) return true
    const found = await client.getChainId()
    if (found !== deployment.chainId) {
      logger.error('the node is on another chain', { found, wanted: deployment.chainId })
      return false
    }
    identifiedAt = performance.now()
    return true
  }

  async function claim(): Promise<void> {
    roundAt = performance.now()
    const result = round && (await attempt('the round of claims', round))
    if (!result) return
    await attempt('claiming again', claimVanished)
    if (result.dust !== dust) {
      dust = result.dust
      if (dust > 0n) logger.info('dust is left: not worth its gas', { amount: Usdc.display(dust) })
    }
  }

  /** What a reorganisation took back though it was booked; until somebody has looked after the alarm. */
  async function claimVanished(): Promise<void> {
    const channelIds: Hex[] = []
    for await (const { code, channelId } of alarms(notebook))
      if (code === 'claim_vanished' && channelId) channelIds.push(channelId)
    if (channelIds.length > 0) await settlement.claimAgain(channelIds)
  }

  async function forgetOld(): Promise<void> {
    if (performance.now() - prunedAt < dayMs) return
    prunedAt = performance.now()
    const from = Date.now() - keptForDays * dayMs
    await attempt('forgetting old transactions', () => journal.prune(from))
    await attempt('forgetting how channels ended', () => closings.prune(from))
  }

  async function beatOnce(): Promise<void> {
    if (!(await lease.take()) || !(await isRightChain())) return
    // Claims wait for blocks, in which others may do something meanwhile.
    follow().catch(() => {})
    // Consumers wait for an end, and the work may take longer than they do.
    await endAsked()
  }

  async function work(isForced: boolean): Promise<void> {
    // Who leads must be able to send.
    if (!hasKey || !(await attempt('taking the lead', lease.take))) return
    const startedAt = performance.now()
    const beat = setInterval(() => {
      // Work that hangs must not keep others from doing it.
      if (performance.now() - startedAt < longestWorkMs) beatOnce().catch(() => {})
    }, leaseMs / 4)
    beat.unref?.()
    try {
      if (!(await attempt('asking the node for its chain', isRightChain))) return
      await look()
      if (!isForced && performance.now() - roundAt < intervalMs) return
      await claim()
      await look()
      await forgetOld()
    } finally {
      clearInterval(beat)
    }
  }

  /** One piece of work at a time; what is asked for meanwhile is one more. */
  function run(isForced: boolean): Promise<void> {
    if (isWaiting) return working
    isWaiting = true
    working = working.then(() => {
      isWaiting = false
      return work(isForced)
    })
    return working
  }

  function schedule(ms: number): void {
    if (isStopped) return
    timer = setTimeout(async () => {
      await run(false)
      schedule(Math.min(tickMs, intervalMs))
    }, ms)
    if (typeof timer === 'object') timer.unref()
  }

  return {
    settlement,
    transactions,
    charges,
    drain,
    run: () => run(true),
    start: () => schedule(0),
    async stop() {
      isStopped = true
      clearTimeout(timer)
      await follower.stop()
      await working
      await Promise.all(ending.values())
      await attempt('leaving the lead', lease.release)
    },
    following: () => ({ triedAt, followedAt: follower.followedAt }),
    worth(price) {
      const { threshold = Usdc.parse(defaultThreshold) } = plan ?? {}
      return { threshold, minPayout, cost: claimCostOf(deployment, payable(price), nativePrice) }
    },
    async problem() {
      return transactions.problem ?? ((await isFailing()) ? 'claims_failing' : undefined)
    },
  }
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    if (typeof timer === 'object') timer.unref()
  })
}
