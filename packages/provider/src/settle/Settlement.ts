/**
 * Turns charges into transactions: claims, closes, close authorizations. Knows the ledger and the chain, nothing of HTTP.
 *
 * A claim goes this way: announced in the ledger, simulated, written into the journal, sent, mined, final, booked. Whatever dies
 * in between, the journal or the announcement is left, and both can be resolved by what the chain shows.
 */
import { Channel, Deployment, DrainError, Usdc } from '@drain/core'
import type { Hex, LocalAccount, TransactionReceipt } from 'viem'
import type { ChannelReader } from '../chain/ChannelReader.ts'
import type { ChannelFacts, ChannelState, ClaimReceipt, Ledger } from '../ledger/Ledger.ts'
import type { Closing, Closings } from './Closings.ts'
import { codeOf } from './codeOf.ts'
import { channelUnknown, createEndings } from './Endings.ts'
import { inWei } from './gasCost.ts'
import type { Entry, Take } from './Journal.ts'
import { bookedClaim, type Claim, chargedClaim, isExpiring, isUnderWay, owed, signedClaim } from './plan.ts'
import { paidBy } from './receipts.ts'
import type { Transactions } from './Transactions.ts'

/** A claim that was paid out. Base units. */
export type Claimed = { channelId: Hex; amount: bigint; txHash: Hex; gasUsed: bigint }

/**
 * What claiming many channels came to. `pending`: sent, and not mined yet. `waiting`: charged and not claimed, for want of a voucher
 * that low (base units).
 */
export type Claims = {
  claimed: Claimed[]
  pending: Hex[]
  failed: { channelId: Hex; code: string }[]
  waiting: bigint
}

export type Settlement = {
  /**
   * Ends a frozen channel with nothing reserved: `claimAndClose` when the contract has it and the payout is worth a
   * transaction, and always the provider's signature for a close by the consumer. Repeats get the same answer, from any
   * process, also after a restart; a transaction that failed is tried again by them. Concurrent calls share an attempt.
   * @throws {DrainError} `not_finalized`: the ledger hasn't fixed the final amount; `signer_timeout`
   */
  close(channelId: Hex): Promise<Closing>
  /**
   * Claims what was charged and is not claimed yet. On contracts without `claimBatch`, which pay only whole signed amounts,
   * the best voucher for no more than that. `undefined` when there is nothing to claim, or less than `atLeast` (base units).
   * @throws {DrainError} why it was not paid, or `claim_pending`: it was sent and isn't mined yet.
   */
  claim(channelId: Hex, options?: { atLeast?: bigint }): Promise<Claimed | undefined>
  /**
   * Claims many channels, as many in one transaction as the contract takes. `signed`: the highest voucher of each, which may be more
   * than was charged, where only whole signed amounts can be claimed. Channels that have nothing to claim are passed over; a
   * failure of one doesn't stop the others.
   */
  claimMany(
    states: Iterable<ChannelState> | AsyncIterable<ChannelState>,
    options?: { signed?: boolean },
  ): Promise<Claims>
  /**
   * Claims again what was booked as claimed and is not on chain any more, since a reorganisation took it back though it was final.
   * The books don't change by it.
   */
  claimAgain(channelIds: Iterable<Hex>): Promise<Claims>
  /** Claims every channel that has at least `threshold` (base units) unclaimed. */
  claimAll(threshold: bigint): Promise<Claims>
  /** Books the outcome of a transaction that can't change any more. */
  book(entry: Entry, receipt: TransactionReceipt | undefined): Promise<void>
  /** Whether a transaction may have paid, by what the chain shows at a block that is final. */
  mayHaveHappened(entry: Entry, blockNumber: bigint): Promise<boolean>
}

/** Claims in one transaction: the gas of more is near what blocks of small chains take. */
export const batchSize = 50

/** How long another process may take from announcing a claim to writing it down: it asks nodes, and signs. */
const announcedForMs = 60_000

/** Transactions that wait for a block at the same time. */
const parallel = 8

export function createSettlement(options: {
  account: LocalAccount
  deployment: Deployment.Deployment
  ledger: Ledger
  channels: Pick<ChannelReader, 'read' | 'forget'>
  closings: Pick<Closings, 'get' | 'keep'>
  transactions: Transactions
  /** Blocks on top of one that can't go away any more. */
  finality: bigint
  /** Base units. */
  minPayout: bigint
  /** Base units for one coin of the chain. */
  nativePrice: bigint
  /** Wei per gas, at the moment. @throws whatever the node fails with */
  gasPrice: () => Promise<bigint>
  /** Unix seconds. */
  now: () => bigint
  /** Told of channels that the chain doesn't show, and the books don't know to be closed. */
  onMissing: (channelId: Hex) => Promise<void>
  log: (message: string) => void
}): Settlement {
  const { deployment, ledger, channels, transactions, finality, nativePrice, now, log } = options
  const hasBatches = Deployment.has(deployment, 'claimBatch')
  const endings = createEndings(options)
  /** Channels for which this process is about to send something. */
  const announcing = new Set<Hex>()
  /** A channel that is being closed is claimed by that. */
  const isAtWork = (channelId: Hex) => announcing.has(channelId) || endings.isUnderWay(channelId)
  /** Announcements of other processes that are in no transaction, since when they are seen. */
  const foreign = new Map<Hex, { claiming: bigint; at: number }>()

  type Due = { state: ChannelState; claim: Claim }

  /** The channel as the chain will show it for good; `undefined` when it is closed there. */
  async function atFinality(channelId: Hex): Promise<ChannelFacts | undefined> {
    const final = await channels.read(channelId, { depth: finality })
    if (Channel.exists(final)) return { ...final, channelId }
    // So long ago it was not there: closed since, or opened since, and then nothing is claimed for good.
    const latest = finality > 0n ? await channels.read(channelId) : final
    return Channel.exists(latest) ? { ...latest, channelId, claimed: 0n } : undefined
  }

  // --- claiming

  /** A channel without announcements that a dead process has left behind; `undefined` while a claim is on its way. */
  async function free(state: ChannelState, underWay: ReadonlySet<Hex>): Promise<ChannelState | undefined> {
    const { channelId } = state
    if (underWay.has(channelId) || isAtWork(channelId)) return undefined
    if (!isUnderWay(state)) return state
    // By now it may have been sent, by this process or another.
    if ((await transactions.underWay()).has(channelId) || isAtWork(channelId)) return undefined
    if (!isAbandoned(state)) return undefined
    await withdraw([state.channelId])
    return ledger.get(state.channelId)
  }

  /**
   * Whether an announcement is of a process that has died. One of more than was charged is given the time that another needs to send
   * it: forgotten before, its payment would look like one that lost data.
   */
  function isAbandoned({ channelId, claiming, charged }: ChannelState): boolean {
    if (claiming <= charged) return true
    const seen = foreign.get(channelId)
    if (seen?.claiming !== claiming) foreign.set(channelId, { claiming, at: performance.now() })
    else if (performance.now() - seen.at >= announcedForMs) return foreign.delete(channelId)
    return false
  }

  /** What to claim of a channel. */
  function dueOf(state: ChannelState, signed: boolean): Due | undefined {
    const claim = signed ? signedClaim(state) : chargedClaim(state, deployment)
    if (state.status === 'closed' || !claim || owed(state) === 0n) return undefined
    return claim.payAmount > state.claimed ? { state, claim } : undefined
  }

  async function announce({ state, claim }: Due): Promise<boolean> {
    return (await ledger.beginClaim(state.channelId, claim.payAmount)).ok
  }

  /**
   * Forgets announcements of claims that were not sent, by what the chain shows. Where another transaction (than `own`) is under way,
   * or is mined and not booked, that one's booking does it: what is recorded before it is in no accounts.
   */
  async function withdraw(channelIds: readonly Hex[], own?: Entry): Promise<void> {
    for (const channelId of channelIds) {
      const [state, facts] = [await ledger.get(channelId), await atFinality(channelId)]
      // After the chain was read: what it shows is in the journal by then, or booked.
      if (await isTaken(channelId, own)) continue
      if (facts) await ledger.endClaim(facts)
      else if (state) {
        await ledger.endClaim(state)
        await doubtMissing(state)
      }
    }
  }

  /** Whether a transaction that isn't booked takes from a channel, other than `own`. */
  async function isTaken(channelId: Hex, own?: Entry): Promise<boolean> {
    const others = (await transactions.unsettled()).filter(({ nonce }) => nonce !== own?.nonce)
    return others.some(({ takes }) => takes.some((take) => take.channelId === channelId))
  }

  /** Whether a channel that isn't there is gone for good will be seen: this node may only be behind. */
  async function doubtMissing({ channelId, status }: ChannelState): Promise<void> {
    if (status !== 'closed') await options.onMissing(channelId)
  }

  /** Sends one transaction for channels that were announced; those that can't be paid are left out and reported. */
  async function send(dues: readonly Due[], claims: Claims): Promise<Entry | undefined> {
    const payable = hasBatches ? await payableOf(dues, claims) : dues
    if (payable.length === 0) return undefined
    const takes = payable.map(({ state, claim }) => ({
      channelId: state.channelId,
      payAmount: claim.payAmount,
    }))
    const [first] = payable
    const call =
      payable.length === 1 && first
        ? callFor(first)
        : ({ ...batchCall(payable), kind: 'claimBatch' } as const)
    if (payable.length === 1) await transactions.simulate(call, first?.state.channelId)
    return transactions.send({ ...call, takes, worth: worthOf(payable) })
  }

  /** What is lost, in wei, if channels that are about to end aren't claimed. */
  function worthOf(dues: readonly Due[]): bigint {
    const urgent = dues.filter(({ state }) => isExpiring(state, now()))
    const amount = urgent.reduce((sum, { state, claim }) => sum + claim.payAmount - state.claimed, 0n)
    return inWei(amount, nativePrice)
  }

  function batchCall(dues: readonly Due[]) {
    const entries = dues.map(({ state, claim: { voucher, payAmount } }) => ({
      ...voucher,
      channelId: state.channelId,
      payAmount,
    }))
    return { functionName: 'claimBatch', args: [entries] } as const
  }

  function callFor(due: Due) {
    const { state, claim } = due
    const { amount, nonce, signature } = claim.voucher
    if (claim.payAmount !== amount) return { ...batchCall([due]), kind: 'claimBatch' } as const
    const args = [state.channelId, amount, nonce, signature]
    return { kind: 'claim', functionName: 'claim', args } as const
  }

  /**
   * Those of a batch that the contract would pay. A batch skips the others without a word, so it is asked what it would pay; where that
   * is less than all, each half of it, so that a few which can't be paid cost few questions.
   */
  async function payableOf(dues: readonly Due[], claims: Claims): Promise<readonly Due[]> {
    const expected = dues.reduce((sum, { state, claim }) => sum + claim.payAmount - state.claimed, 0n)
    const payout = await transactions.simulate(batchCall(dues))
    if (typeof payout === 'bigint' && payout >= expected) return dues
    const [due] = dues
    if (due && dues.length === 1) {
      await leaveOut(due, 'not_claimable', claims)
      return []
    }
    const middle = dues.length >> 1
    const left = await payableOf(dues.slice(0, middle), claims)
    return [...left, ...(await payableOf(dues.slice(middle), claims))]
  }

  async function leaveOut({ state }: Due, code: string, claims: Claims): Promise<void> {
    claims.failed.push({ channelId: state.channelId, code })
    await withdraw([state.channelId]).catch(() => {}) // the next round finds the announcement
  }

  /** Announces, unless it is booked already, sends and waits; what came of it goes into `claims`. */
  async function settleBatch(found: readonly Due[], claims: Claims, isBooked = false): Promise<void> {
    let entry: Entry | undefined
    const dues = found.filter(({ state }) => !endings.isUnderWay(state.channelId))
    let announced = dues
    for (const { state } of dues) announcing.add(state.channelId)
    try {
      const began = await Promise.all(dues.map((due) => isBooked || announce(due)))
      announced = dues.filter((_, index) => began[index])
      entry = await send(announced, claims)
    } catch (error) {
      const told = new Set(claims.failed.map(({ channelId }) => channelId))
      for (const due of announced)
        if (!told.has(due.state.channelId)) await leaveOut(due, codeOf(error), claims)
      return
    } finally {
      for (const { state } of dues) announcing.delete(state.channelId)
    }
    if (!entry) return
    try {
      await conclude(entry, claims)
    } catch {
      // It is in the journal: whatever became of it, the next look finds out.
      claims.pending.push(...entry.takes.map(({ channelId }) => channelId))
    }
  }

  async function conclude(sent: Entry, claims: Claims): Promise<void> {
    const { entry, receipt } = await transactions.mined(sent)
    const channelIds = entry.takes.map(({ channelId }) => channelId)
    if (!receipt && entry.state !== 'replaced') {
      claims.pending.push(...channelIds)
      return
    }
    const paid = receipt ? paidBy(receipt, deployment) : new Map<Hex, never>()
    for (const channelId of channelIds) {
      const amount = paid.get(channelId)?.amount
      if (amount === undefined || !receipt) {
        claims.failed.push({ channelId, code: 'transaction_reverted' })
        continue
      }
      const { transactionHash: txHash, gasUsed } = receipt
      claims.claimed.push({ channelId, amount, txHash, gasUsed: gasUsed / BigInt(paid.size) })
    }
  }

  let queue: Promise<unknown> = Promise.resolve()

  /** One after the other, so that none takes another's announcements for those of a dead process. */
  function inTurn<result>(work: () => Promise<result>): Promise<result> {
    const turn = queue.then(work)
    queue = turn.catch(() => {})
    return turn
  }

  async function claimEach(
    states: Iterable<ChannelState> | AsyncIterable<ChannelState>,
    signed: boolean,
  ): Promise<Claims> {
    const claims = noClaims()
    const underWay = await transactions.underWay()
    const running = new Set<Promise<void>>()
    let batch: Due[] = []
    async function flush(): Promise<void> {
      const dues = batch
      batch = []
      if (dues.length === 0) return
      if (running.size >= parallel) await Promise.race(running)
      const settling = settleBatch(dues, claims).finally(() => running.delete(settling))
      running.add(settling)
    }
    for await (const found of states) {
      const state = await free(found, underWay).catch((error) => {
        claims.failed.push({ channelId: found.channelId, code: codeOf(error) })
      })
      if (underWay.has(found.channelId)) claims.pending.push(found.channelId)
      if (!state) continue
      const due = dueOf(state, signed)
      claims.waiting += owed(state) - (due ? smallest(due.claim.payAmount - state.claimed, owed(state)) : 0n)
      if (!due) continue
      batch.push(due)
      if (batch.length >= (hasBatches ? batchSize : 1)) await flush()
    }
    await flush()
    await Promise.all(running)
    return claims
  }

  async function claimEachAgain(channelIds: Iterable<Hex>): Promise<Claims> {
    const claims = noClaims()
    const underWay = await transactions.underWay()
    const dues: Due[] = []
    for (const channelId of channelIds) {
      if (underWay.has(channelId) || announcing.has(channelId)) continue
      const [state, facts] = [await ledger.get(channelId), await atFinality(channelId)]
      const claim = state && bookedClaim(state, deployment)
      if (!state || !facts || !claim || facts.claimed >= claim.payAmount) continue
      dues.push({ state: { ...state, claimed: facts.claimed }, claim })
    }
    const size = hasBatches ? batchSize : 1
    for (let from = 0; from < dues.length; from += size)
      await settleBatch(dues.slice(from, from + size), claims, true)
    return claims
  }

  async function claim(channelId: Hex, atLeast: bigint): Promise<Claimed | undefined> {
    let state = await ledger.get(channelId)
    if (!state) throw channelUnknown(channelId)
    const facts = await atFinality(channelId)
    if (!facts) {
      channels.forget(channelId)
      await doubtMissing(state)
      return undefined
    }
    if (facts.claimed > state.claimed && !isUnderWay(state) && !(await isTaken(channelId)))
      state = await ledger.recordClaimed(facts)
    const due = dueOf(state, false)
    if (!due || due.claim.payAmount - state.claimed < atLeast) return undefined
    const claims = await claimEach([state], false)
    const [failure] = claims.failed
    if (failure) throw new DrainError(failure.code, `The claim of channel ${channelId} failed.`)
    if (claims.pending.length > 0) {
      throw new DrainError('claim_pending', `The claim of channel ${channelId} was sent and isn't mined yet.`)
    }
    return claims.claimed[0]
  }

  // --- booking

  async function book(entry: Entry, receipt: TransactionReceipt | undefined): Promise<void> {
    const paid = receipt ? paidBy(receipt, deployment) : new Map<Hex, never>()
    const gasCost = receipt ? receipt.gasUsed * receipt.effectiveGasPrice : 0n
    const shares = BigInt(paid.size === 0 ? 1 : paid.size)
    let rest = gasCost % shares
    for (const take of entry.takes) {
      const payment = paid.get(take.channelId)
      const share = gasCost / shares + (payment ? rest : 0n)
      if (payment) rest = 0n
      await ofOne(take.channelId, () =>
        payment && receipt
          ? bookPaid(entry, take, { txHash: receipt.transactionHash, fee: payment.fee, gasCost: share })
          : withdraw([take.channelId], entry),
      )
    }
  }

  async function bookPaid(
    { kind }: Entry,
    { channelId, payAmount }: Take,
    receipt: ClaimReceipt,
  ): Promise<void> {
    const state = await ledger.get(channelId)
    if (!state) return
    const claimed = payAmount > state.claimed ? payAmount : state.claimed
    if (claimed > state.charged && state.claimed < claimed) {
      const credit = Usdc.display(claimed - state.charged)
      log(
        `channel ${channelId} was claimed as it was signed: ${credit} of that are the consumer's unused credit`,
      )
    }
    await ledger.endClaim({ ...state, claimed }, receipt)
    if (kind === 'claimAndClose') {
      await ledger.markClosed(channelId)
      channels.forget(channelId)
    }
  }

  /** A channel whose row is damaged, or isn't what it was, must not keep the others from being booked. */
  async function ofOne(channelId: Hex, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (!(error instanceof DrainError) || !ofOneChannel.includes(error.name)) throw error
      log(`a claim of channel ${channelId} could not be booked: ${error.code}`)
    }
  }

  return {
    close: endings.close,
    claim: (channelId, { atLeast = 1n } = {}) => inTurn(() => claim(channelId, atLeast)),
    claimMany: (states, { signed = false } = {}) => inTurn(() => claimEach(states, signed)),
    claimAgain: (channelIds) => inTurn(() => claimEachAgain(channelIds)),
    claimAll(threshold) {
      const unclaimedOver = threshold > 0n ? threshold - 1n : 0n
      return inTurn(() => claimEach(ledger.channels({ unclaimedOver }), false))
    },
    book,
    async mayHaveHappened({ takes }, blockNumber) {
      for (const { channelId, payAmount } of takes) {
        const channel = await channels.read(channelId, { at: blockNumber })
        // Closed by it, or since.
        if (!Channel.exists(channel) || channel.claimed >= payAmount) return true
      }
      return takes.length === 0
    },
  }
}

const ofOneChannel = ['LedgerInvariantError', 'ChannelMismatchError', 'LedgerUsageError']

const noClaims = (): Claims => ({ claimed: [], pending: [], failed: [], waiting: 0n })

const smallest = (a: bigint, b: bigint) => (a < b ? a : b)
