/** Claims what channels owe while they run, and settles them before they expire: after that, nothing can be claimed. */
import { type Channel, Deployment, DrainError, Duration, Usdc } from '@drain/core'
import type { ChannelState, Ledger } from '../ledger/Ledger.ts'
import * as Terms from '../verify/Terms.ts'
import type { Settlement } from './Settlement.ts'

/** How often and from what amount on a provider claims by itself. */
export type RoundsInput = {
  /** Between two rounds; three must fit into the margin before the expiry of the shortest channel. Default `1m`. */
  interval?: string | undefined
  /** Channels that owe at least this much (USDC) are claimed while they run. Default 10. */
  threshold?: string | undefined
}

export type Rounds = {
  /** One round now. Never throws. */
  run(): Promise<void>
  /** Starts no more rounds, and waits for the one that runs. */
  stop(): Promise<void>
}

/** How long a round waits for what runs on an expiring channel: long enough for streams to end, which were told to. */
const patienceMs = 1_000

/** Rounds that have to fit into the time before an expiry in which nothing is served any more. */
const roundsPerMargin = 3n

/** Seconds between rounds, and base units from which a running channel is claimed. */
export type RoundsPlan = { interval: bigint; threshold: bigint }

/**
 * @throws {DrainError} `settle_interval`: too long for the shortest channel.
 * @throws {InvalidAmountError | InvalidDurationError}
 */
export function planRounds(input: RoundsInput, terms: Terms.Terms): RoundsPlan {
  const interval = Duration.parse(input.interval ?? '1m')
  const threshold = Usdc.parse(input.threshold ?? '10')
  if (interval * roundsPerMargin * 10n <= terms.minDuration) return { interval, threshold }
  throw new DrainError(
    'settle_interval',
    `Settling every ${Duration.format(interval)} is too slow for channels of ${Duration.format(terms.minDuration)}.`,
    {
      action: `Use an interval of at most a ${roundsPerMargin * 10n}th of the terms' minDuration, or raise that.`,
    },
  )
}

/** Runs a round now and then, from when it is made. */
export function startRounds(
  { interval, threshold }: RoundsPlan,
  provider: {
    deployment: Deployment.Deployment
    ledger: Ledger
    settlement: Settlement
    /** Base units. */
    minPayout: bigint
    /** Unix seconds. */
    now: () => bigint
    /** Has a `rejection` when requests still run on the channel after `patienceMs`. */
    closeChannel: (channel: Channel.Channel, patienceMs: number) => Promise<object>
    log: (message: string) => void
  },
): Rounds {
  const { deployment, ledger, settlement, minPayout, now, closeChannel, log } = provider

  async function settle(state: ChannelState): Promise<void> {
    const { channelId, charged, claimed, finalAmount, expiry } = state
    const channel = { ...state, id: channelId }
    const owed = charged - claimed
    const isExpiring = now() >= expiry - Terms.expiryMargin(channel, state.firstSeen)
    if (isExpiring && owed >= minPayout) {
      if (!Deployment.has(deployment, 'claimAndClose')) await report(settlement.claimSigned(channelId))
      // A request that doesn't end must not keep what was charged from being claimed while it can be. It is closed later.
      else if ('rejection' in (await closeChannel(channel, patienceMs)))
        await report(settlement.claim(channelId))
    } else if (finalAmount !== undefined && finalAmount - claimed >= minPayout) {
      await settlement.close(channelId) // a settlement that failed before
    } else if (owed >= threshold) {
      await report(settlement.claim(channelId, { atLeast: threshold }))
    }
  }

  async function report(claim: ReturnType<Settlement['claim']>): Promise<void> {
    const paid = await claim
    if (paid) log(`claimed ${Usdc.display(paid.amount)} from channel ${paid.channelId} (${paid.txHash})`)
  }

  async function round(): Promise<void> {
    try {
      for await (const state of ledger.channels({ unclaimedOver: 0n })) {
        if (state.status === 'closed') continue
        await settle(state).catch((error) => {
          const code = error instanceof DrainError ? error.code : 'unavailable'
          log(`channel ${state.channelId} was not claimed: ${code}`)
        })
      }
    } catch {
      log('the ledger could not be read for claims')
    }
  }

  let running: Promise<void> = Promise.resolve()
  let waiting = false
  function run(): Promise<void> {
    if (waiting) return running
    waiting = true
    running = running.then(() => {
      waiting = false
      return round()
    })
    return running
  }
  const timer = setInterval(run, Number(interval) * 1_000)
  if (typeof timer === 'object') timer.unref()

  return {
    run,
    stop() {
      clearInterval(timer)
      return running
    },
  }
}
