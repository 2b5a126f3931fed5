/**
 * What events that can't go away any more mean for the books. Every step bears to be repeated: the cursor moves after them, and a
 * process may end in between.
 */
import { type Deployment, DrainError, Usdc } from '@drain/core'
import type { Hex, PublicClient } from 'viem'
import { type AlarmCode, hasAlarm, raiseAlarm } from '../ledger/alarms.ts'
import type { ChannelFacts, ChannelState, Ledger } from '../ledger/Ledger.ts'
import type { Logger } from '../observe/Log.ts'
import { asked, readChannel } from './chainReads.ts'
import type { Claimed, Closed, ContractLog } from './contractLogs.ts'
import { paidBy } from './receipts.ts'

export type Booking = {
  /**
   * Books a claim or close. `logs`: all events of its block, `block`: one that is final, to read the contract's state at.
   * @throws {ChainUnavailableError}
   */
  book(log: Claimed | Closed, logs: readonly ContractLog[], block: bigint): Promise<void>
  /** Keeps an alarm, and says it once. */
  alarm(channelId: Hex, code: AlarmCode, message: string): Promise<void>
  /**
   * Does something about one channel. One with a damaged row, or that isn't what the ledger knew, must not keep the others from
   * being followed: then it says so, and resolves with undefined.
   */
  ofOne<result>(channelId: Hex, work: () => Promise<result>): Promise<result | undefined>
}

export function createBooking(options: {
  client: PublicClient
  deployment: Deployment.Deployment
  ledger: Ledger
  isOurs: (txHash: Hex) => Promise<boolean>
  settleUntil?: ((blockNumber: bigint, channelId: Hex) => Promise<void>) | undefined
  forget: (channelId: Hex) => void
  /** Base units. */
  dust: bigint
  clock: () => number
  log: Logger
}): Booking {
  const { client, deployment, ledger, isOurs, settleUntil, forget, dust, clock, log } = options
  const { notebook } = ledger
  /** The transaction last found in the accounts: the events of a batch come one after another, and a node takes time. */
  let accounted: Hex | undefined

  async function alarm(channelId: Hex, code: AlarmCode, message: string): Promise<void> {
    const isNew = await raiseAlarm(notebook, { channelId, code, message, at: clock() })
    if (isNew) log.error(`ALARM: ${message}`, { channelId, code })
  }

  /** Whether the accounts have, or will have, this claim as one of ours. */
  async function isAccounted({ txHash, blockNumber }: Claimed): Promise<boolean> {
    if (txHash === accounted) return true
    if (await isOurs(txHash)) {
      accounted = txHash
      return true
    }
    // One from before there was a journal is in the accounts of its day, or of a later one.
    const { timestamp } = await asked(() => client.getBlock({ blockNumber }))
    const from = new Date(Number(timestamp) * 1_000 - 86_400_000).toISOString().slice(0, 10)
    for await (const claim of ledger.claims({ from })) if (claim.txHash === txHash) return true
    return false
  }

  /** Takes over what the chain shows, and stops serving a channel that somebody else claims from. */
  async function recordUnknown(claim: Claimed, facts: ChannelFacts | undefined): Promise<void> {
    const { channelId, txHash, amount, blockNumber } = claim
    await alarm(
      channelId,
      'unknown_claim',
      `${Usdc.display(amount)} of channel ${channelId} were claimed by transaction ${txHash}, which this provider did not ` +
        'send. Somebody else has its key, or its ledger was lost. The channel is frozen.',
    )
    const state = await ledger.get(channelId)
    if (state) await ledger.freeze(state)
    forget(channelId)
    // As before a close: ours before it are booked first.
    await settleUntil?.(blockNumber, channelId)
    if (facts) await ledger.recordClaimed(facts)
  }

  async function bookClaim(claim: Claimed, logs: readonly ContractLog[], block: bigint): Promise<void> {
    const isClose = logs.some((log) => log.kind === 'closed' && isOfOne(log, claim))
    if (isClose || (await isAccounted(claim))) return // a close books its payment itself
    await recordUnknown(claim, await readChannel(options, claim.channelId, block))
  }

  /**
   * The consumer closed with our signature: a payment like a claim, for which the consumer paid the gas. Amounts are cumulative, so
   * claims of ours before it are booked first: afterwards nothing would be left of theirs, neither amount nor fee.
   */
  async function bookCooperativeClose(
    state: ChannelState,
    { txHash, blockNumber }: Closed,
    paid: bigint,
  ): Promise<void> {
    const receipt = await asked(() => client.getTransactionReceipt({ hash: txHash }))
    await settleUntil?.(blockNumber, state.channelId)
    const fee = paidBy(receipt, deployment).get(state.channelId)?.fee ?? 0n
    await ledger.beginClaim(state.channelId, paid)
    await ledger.endClaim({ ...state, claimed: paid }, { txHash, fee, gasCost: 0n })
  }

  async function bookClose(close: Closed, logs: readonly ContractLog[]): Promise<void> {
    const { channelId, refund } = close
    const state = await ledger.get(channelId)
    if (!state) return // another provider's, most likely
    forget(channelId)
    const paid = state.deposit > refund ? state.deposit - refund : 0n
    const payment = logs.find((log) => log.kind === 'claimed' && isOfOne(log, close)) as Claimed | undefined
    if (payment && !(await isAccounted(payment))) {
      if (paid === agreedOn(state)) await bookCooperativeClose(state, close, paid)
      else await recordUnknown(payment, { ...state, claimed: paid })
    } else if (
      paid > max(state.charged, state.claiming) ||
      (await hasAlarm(notebook, channelId, 'unknown_claim')) // then nobody else books what it took
    ) {
      await ledger.recordClaimed({ ...state, claimed: paid })
    }
    const { charged } = (await ledger.markClosed(channelId)) ?? state
    const owed = charged - paid
    if (owed <= 0n) return
    const message = `Channel ${channelId} was closed with ${Usdc.display(owed)} charged and not claimed. They are lost.`
    if (owed <= dust) log.info(message, { channelId })
    else await alarm(channelId, 'closed_owing', message)
  }

  async function ofOne<result>(channelId: Hex, work: () => Promise<result>): Promise<result | undefined> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof DrainError) || !ofOneChannel.includes(error.code)) throw error
      log.error('an event of a channel could not be booked', { channelId, problem: error.shortMessage })
      return undefined
    }
  }

  return {
    alarm,
    ofOne,
    book: (event, logs, block) =>
      event.kind === 'claimed' ? bookClaim(event, logs, block) : bookClose(event, logs),
  }
}

/** Codes of errors that concern nothing but one channel. */
const ofOneChannel = ['channel_mismatch', 'ledger_invariant', 'ledger_usage']

function isOfOne(a: ContractLog, b: ContractLog): boolean {
  return a.channelId === b.channelId && a.txHash === b.txHash
}

/** What a frozen channel is closed at with our signature. Where only whole signed amounts can be claimed it is not fixed. */
function agreedOn({ status, finalAmount, charged, claimed }: ChannelState): bigint | undefined {
  return status === 'open' ? undefined : (finalAmount ?? max(charged, claimed))
}

const max = (a: bigint, b: bigint) => (a > b ? a : b)
