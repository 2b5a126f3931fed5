/** What reorganisations of the chain take back: the cursor goes back with them, and what was opened in them is no longer served. */
import { type Deployment, Usdc } from '@drain/core'
import type { Hex, PublicClient } from 'viem'
import { ChainUnavailableError, localChains } from '../chain/ChannelReader.ts'
import { hasAlarm } from '../ledger/alarms.ts'
import type { ChannelFacts, ChannelState, Ledger } from '../ledger/Ledger.ts'
import type { Logger } from '../observe/Log.ts'
import type { Booking } from './booking.ts'
import * as Cursor from './Cursor.ts'
import { asked, readChannel } from './chainReads.ts'
import { type Doubt, doubts, raiseDoubts, settleDoubt } from './doubts.ts'
import type { Finality } from './finality.ts'
import type { Block, LogWindows } from './LogWindows.ts'

export type Reorganisations = {
  /**
   * The cursor, on the chain as it is now: taken back to the last block that both have when there was a reorganisation.
   * `undefined` when the node is behind what was read before.
   * @throws {ChainUnavailableError}
   */
  agree(cursor: Cursor.Cursor, head: Block): Promise<Cursor.Cursor | undefined>
  /**
   * Looks after the opens that went away: until they come back, or have had the time for it.
   * @throws {ChainUnavailableError}
   */
  followRemoved(cursor: Cursor.Cursor, finalNumber: bigint): Promise<Cursor.Cursor>
  /**
   * Looks after the channels whose booked payments may be gone, or that are gone themselves, in the same way.
   * @throws {ChainUnavailableError}
   */
  followDoubts(cursor: Cursor.Cursor, head: Block, finalNumber: bigint): Promise<void>
}

/** How long before it was first heard of a channel was opened, at most, as chain and ledger have the time: seconds. */
const openedWithin = 60n

/** Blocks that are looked back at when none that is remembered is left. */
const lookBack = 1_000n

export function createReorganisations(options: {
  client: PublicClient
  deployment: Deployment.Deployment
  ledger: Ledger
  finality: Finality
  block: LogWindows['block']
  booking: Booking
  /** The channels of transactions that were booked as final in blocks above. */
  paidAbove: (blockNumber: bigint) => Promise<Hex[]>
  /** Told when charges may be gone that were booked as final in blocks above. */
  doubtCharges?: ((blockNumber: bigint) => Promise<void>) | undefined
  forget: (channelId: Hex) => void
  /** Stores the cursor. */
  save: (cursor: Cursor.Cursor) => Promise<Cursor.Cursor>
  log: Logger
}): Reorganisations {
  const { client, deployment, ledger, finality, block, booking, paidAbove, forget, save, log } = options
  const { doubtCharges } = options
  const isLocal = localChains.includes(deployment.chainId)

  /** Whether a remembered block is still on the chain. */
  async function isThere({ number, hash }: Cursor.Block, head: Block): Promise<boolean> {
    if (number > head.number) return false
    return (number === head.number ? head : await block(number)).hash === hash
  }

  async function agree(cursor: Cursor.Cursor, head: Block): Promise<Cursor.Cursor | undefined> {
    if (head.number < cursor.seen.number) {
      const below = cursor.recent.findLast(({ number }) => number <= head.number)
      // A chain of one machine may have been put back, or started anew.
      if (below ? await isThere(below, head) : !isLocal) return undefined
    } else if (await isThere(cursor.seen, head)) return cursor

    if ((await asked(() => client.getChainId())) !== deployment.chainId)
      throw new ChainUnavailableError('the node is on another chain')
    const gone: Cursor.RecentBlock[] = []
    let ancestor: Cursor.Block | undefined
    for (const remembered of cursor.recent.toReversed()) {
      if (await isThere(remembered, head)) {
        ancestor = remembered
        break
      }
      gone.push(remembered)
    }
    if (!ancestor) {
      const oldest = gone.at(-1)?.number ?? head.number
      ancestor = await block(max(0n, (oldest < head.number ? oldest : head.number) - lookBack))
    }
    if (ancestor.number < cursor.booked && finality.depth > 0n)
      log.error('a reorganisation goes deeper than what was taken for final', {
        ...{ block: ancestor.number, booked: cursor.booked },
      })
    else log.info('a reorganisation: reading again', { block: ancestor.number, until: cursor.seen.number })
    await doubtPayments(ancestor, gone, cursor, head)
    for (const channelId of gone.flatMap(({ opened }) => opened))
      await booking.ofOne(channelId, () => stopServing(channelId))
    for (const channelId of gone.flatMap(({ closed }) => closed))
      log.warn('a reorganisation took back the close of a channel: it stays frozen', { channelId })
    const removed = gone.flatMap(({ opened }) => opened.map((channelId) => ({ channelId, at: head.number })))
    return save(Cursor.remove(Cursor.rewind(cursor, ancestor), removed))
  }

  /** Payments that were booked above the last block that both chains have, be they in our journal or ends by the consumer. */
  async function doubtPayments(
    ancestor: Cursor.Block,
    gone: readonly Cursor.RecentBlock[],
    { booked, seen }: Cursor.Cursor,
    head: Block,
  ): Promise<void> {
    // The journal is ahead of what is booked here, which waits for more blocks. A chain of one machine is put back on purpose.
    if (finality.depth === 0n || ancestor.number + finality.depth >= max(seen.number, head.number)) return
    const closed = gone.flatMap((block) => (block.number <= booked ? block.closed : []))
    await raiseDoubts(ledger.notebook, [...closed, ...(await paidAbove(ancestor.number))], head.number)
    await doubtCharges?.(ancestor.number)
  }

  /** Freezes a channel whose open is gone, if the ledger serves it. */
  async function stopServing(channelId: Hex): Promise<void> {
    forget(channelId)
    const state = await ledger.get(channelId)
    if (state?.status !== 'open') return
    await ledger.freeze(state)
    log.warn('a reorganisation took away the open of a channel: it is frozen', { channelId })
  }

  const tellVanished = (channelId: Hex) =>
    booking.alarm(
      channelId,
      'channel_vanished',
      `The open of channel ${channelId} was taken back by a reorganisation of the chain and did not come again: what it was ` +
        'served for is not paid. The channel is frozen.',
    )

  async function followRemoved(cursor: Cursor.Cursor, finalNumber: bigint): Promise<Cursor.Cursor> {
    const left: Cursor.RemovedOpen[] = []
    const failures: unknown[] = []
    for (const open of cursor.removed) {
      const { channelId, at } = open
      await booking.ofOne(channelId, () => stopServing(channelId)) // another process may have gone on with it
      if (at > finalNumber) {
        left.push(open)
        continue
      }
      const state = await booking.ofOne(channelId, () => ledger.get(channelId))
      // Closed unpaid, it has lost nothing.
      const isOver = state?.status === 'closed' && state.claimed === 0n
      if (!state || isOver) continue
      // One that a node can't tell of keeps none of the others waiting.
      const found = await readTwice(channelId, finalNumber).catch((error) => void failures.push(error))
      if (!found) left.push(open)
      if (!found || found.final || found.latest) continue
      await tellVanished(channelId)
      await raiseDoubts(ledger.notebook, [channelId], at)
    }
    const next = left.length === cursor.removed.length ? cursor : await save({ ...cursor, removed: left })
    if (failures.length > 0) throw failures[0]
    return next
  }

  /** A channel at the last final block, and now. One node of several may be behind: it doesn't have that block. */
  async function readTwice(channelId: Hex, finalNumber: bigint) {
    const final = await readChannel(options, channelId, finalNumber, true)
    return { final, latest: await readChannel(options, channelId) }
  }

  /** What was booked of a channel, and at the last final block isn't claimed. Resolves with whether that is settled. */
  async function followClaims(
    { channelId, claimed }: ChannelState,
    final: ChannelFacts,
    latest: ChannelFacts | undefined,
  ): Promise<boolean> {
    if (final.claimed >= claimed) return true
    // Claimed again or closed since: that will be final, or was said by a node that is behind.
    if (!latest || latest.claimed >= claimed) return false
    await booking.alarm(
      channelId,
      'claim_vanished',
      `${Usdc.display(claimed - latest.claimed)} of channel ${channelId} were claimed and booked, and are not claimed on chain any ` +
        'more: a reorganisation took back more blocks than are waited for. They are claimed again.',
    )
    return true
  }

  /**
   * A channel that the chain doesn't show, though no close of it is booked: nobody may have followed while its open went away. It may
   * come again until it would have expired, and is claimed then; afterwards it is over, at the second look.
   */
  async function followMissing(
    { channelId, expiry, firstSeen }: ChannelState,
    { at }: Doubt,
    { booked, recent }: Cursor.Cursor,
    finalNumber: bigint,
  ): Promise<boolean> {
    const { timestamp } = await block(finalNumber)
    // Its open may not be final yet, or its close on its way into the books.
    if (timestamp < firstSeen + openedWithin || booked < at) return false
    if (recent.some(({ closed }) => closed.includes(channelId))) return false
    const isTold = await hasAlarm(ledger.notebook, channelId, 'channel_vanished')
    await stopServing(channelId)
    if (!isTold) await tellVanished(channelId)
    if (!isTold || timestamp <= expiry) return false
    await ledger.markClosed(channelId)
    return true
  }

  async function followDoubts(cursor: Cursor.Cursor, head: Block, finalNumber: bigint): Promise<void> {
    const { notebook } = ledger
    for await (const doubt of doubts(notebook)) {
      const { channelId, at } = doubt
      if (at > finalNumber) continue
      const isSettled = await booking.ofOne(channelId, async () => {
        const state = await ledger.get(channelId)
        if (!state) return true
        const isOver = state.status === 'closed'
        // Told, and waiting for its expiry: no node is asked about it all day.
        const mayCome = !isOver && head.timestamp <= state.expiry
        if (mayCome && (await hasAlarm(notebook, channelId, 'channel_vanished'))) return false
        const { final, latest } = await readTwice(channelId, finalNumber)
        if (final) return followClaims(state, final, latest)
        // It has come again, and isn't final.
        if (latest) return false
        return isOver || followMissing(state, doubt, cursor, finalNumber)
      })
      if (isSettled) await settleDoubt(notebook, doubt)
    }
  }

  return { agree, followRemoved, followDoubts }
}

const max = (a: bigint, b: bigint) => (a > b ? a : b)
