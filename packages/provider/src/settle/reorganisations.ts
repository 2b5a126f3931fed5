/** What reorganisations of the chain take back: the cursor goes back with them, and what was opened in them is no longer served. */
import { type Deployment, Usdc } from '@drain/core'
import type { Hex, PublicClient } from 'viem'
import { ChainUnavailableError, localChains } from '../chain/ChannelReader.ts'
import type { ChannelState, Ledger } from '../ledger/Ledger.ts'
import type { Logger } from '../observe/Log.ts'
import type { Booking } from './booking.ts'
import * as Cursor from './Cursor.ts'
import { asked, readChannel } from './chainReads.ts'
import { doubts, raiseDoubts, settleDoubt } from './doubts.ts'
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
   * Looks after the channels whose booked payments may be gone, in the same way.
   * @throws {ChainUnavailableError}
   */
  followDoubts(finalNumber: bigint): Promise<void>
}

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

  async function followRemoved(cursor: Cursor.Cursor, finalNumber: bigint): Promise<Cursor.Cursor> {
    const left: Cursor.RemovedOpen[] = []
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
      if (!state || isOver || (await readChannel(options, channelId))) continue
      await booking.alarm(
        channelId,
        'channel_vanished',
        `The open of channel ${channelId} was taken back by a reorganisation of the chain and did not come again: what it was ` +
          'served for is not paid. The channel is frozen.',
      )
    }
    return left.length === cursor.removed.length ? cursor : save({ ...cursor, removed: left })
  }

  /** What was booked of a channel and the chain doesn't show, base units; `undefined` while it may still change. */
  async function missingOf(state: ChannelState, finalNumber: bigint): Promise<bigint | undefined> {
    const found = await readChannel(options, state.channelId)
    // Closed again, or never opened again: the events tell of both.
    if (!found) return 0n
    if (found.claimed < state.claimed) return state.claimed - found.claimed
    const final = await readChannel(options, state.channelId, finalNumber)
    return final && final.claimed >= state.claimed ? 0n : undefined
  }

  async function followDoubts(finalNumber: bigint): Promise<void> {
    for await (const doubt of doubts(ledger.notebook)) {
      const { channelId, at } = doubt
      if (at > finalNumber) continue
      const missing = await booking.ofOne(channelId, async () => {
        const state = await ledger.get(channelId)
        return state ? missingOf(state, finalNumber) : 0n
      })
      if (missing === undefined) continue
      if (missing > 0n) {
        await booking.alarm(
          channelId,
          'claim_vanished',
          `${Usdc.display(missing)} of channel ${channelId} were claimed and booked, and are not claimed on chain any more: a ` +
            'reorganisation took back more blocks than are waited for. They are claimed again.',
        )
      }
      await settleDoubt(ledger.notebook, doubt)
    }
  }

  return { agree, followRemoved, followDoubts }
}

const max = (a: bigint, b: bigint) => (a > b ? a : b)
