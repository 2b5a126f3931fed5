/**
 * Follows the contract's events from a stored cursor: what was opened, claimed and closed, and what a reorganisation took back.
 *
 * Blocks are read twice. Near the head, to stop serving what was closed; and once they are final, to book it, so that nothing
 * rests on what a node said of its newest blocks. Effects come first, then the cursor: whatever dies in between, they are
 * repeated, and bear it.
 */
import type { Deployment } from '@drain/core'
import type { Address, Hex, PublicClient } from 'viem'
import { ChainUnavailableError, localChains } from '../chain/ChannelReader.ts'
import type { Ledger } from '../ledger/Ledger.ts'
import type { Logger } from '../observe/Log.ts'
import { createBooking } from './booking.ts'
import * as Cursor from './Cursor.ts'
import type { ContractLog } from './contractLogs.ts'
import type { Finality } from './finality.ts'
import { type Block, createLogWindows } from './LogWindows.ts'
import { createReorganisations } from './reorganisations.ts'

export type Head = {
  /** Of the newest block that is believed. */
  number: bigint
  /** Of that block, Unix seconds. To judge expiries by, together with the local clock. */
  timestamp: bigint
  /** The newest block that can't go away any more. */
  finalNumber: bigint
  /** Blocks whose events are still to be read. */
  behind: bigint
}

export type Follower = {
  /**
   * One round: reads on up to the head, or as far as it comes with a bounded number of questions. Calls at the same time share
   * one.
   * @throws {ChainUnavailableError} Try again later; what was read until then is kept.
   */
  poll(): Promise<Head>
  /**
   * When a round last read up to a head that it believed, or at least got on; before the first, when this was made. Milliseconds of
   * the local clock.
   */
  readonly followedAt: number
  /** Lets a round that runs end at its next step, and starts no other. */
  stop(): Promise<void>
}

/** Windows of one round: who waits for it has claims to make, which expire. */
const mostWindows = 64
/** Blocks that are looked back at in a ledger that has channels and no cursor. */
const adopted = 1_000n
/** Final blocks that may wait to be booked together. */
const mostUnbooked = 16n
/** How far a block's time may be ahead of the local clock, in seconds. */
const mostAhead = 900n

export function createFollower(options: {
  client: PublicClient
  deployment: Deployment.Deployment
  provider: Address
  ledger: Ledger
  finality: Finality
  /** Whether this provider sent a transaction: then its journal books the claims in it. */
  isOurs: (txHash: Hex) => Promise<boolean>
  /** Books what transactions of this provider have claimed from a channel, up to a block that is final. */
  settleUntil?: ((blockNumber: bigint, channelId: Hex) => Promise<void>) | undefined
  /** The channels of transactions of this provider that were booked as final, in blocks above. */
  paidAbove: (blockNumber: bigint) => Promise<Hex[]>
  /** Told when blocks above may be gone that were taken for final. */
  doubtCharges?: ((blockNumber: bigint) => Promise<void>) | undefined
  /** Drops what is remembered of a channel beside the ledger. */
  forget: (channelId: Hex) => void
  /** Base units that a channel may owe at its close without an alarm, since claiming them would have cost more. Default 0. */
  dust?: bigint | undefined
  /** Milliseconds of the local clock. */
  clock?: (() => number) | undefined
  log: Logger
}): Follower {
  const { client, deployment, ledger, finality, isOurs, settleUntil, forget, dust = 0n } = options
  const { clock = Date.now, log } = options
  const { notebook } = ledger
  const isLocal = localChains.includes(deployment.chainId)
  const windows = createLogWindows(options)
  const { block } = windows
  const about = { client, deployment, ledger, isOurs, settleUntil, forget, dust, clock, log }
  const booking = createBooking(about)
  const reorganisations = createReorganisations({
    ...{ client, deployment, ledger, finality, forget, log },
    block,
    booking,
    paidAbove: options.paidAbove,
    doubtCharges: options.doubtCharges,
    save,
  })
  let running: Promise<Head> | undefined
  let isStopped = false
  /** The cursor's note as this process knows it. */
  let stored: string | undefined
  /** The newest head that was believed. */
  let best: Block | undefined
  const said = new Set<'behind' | 'future'>()
  let followedAt = clock()

  // --- the cursor

  async function load(): Promise<Cursor.Cursor | undefined> {
    stored = await notebook.write(Cursor.key, (text) => ({ result: text }))
    return stored === undefined ? undefined : Cursor.parse(stored)
  }

  /** @throws {OvertakenError} when another process has moved it. */
  async function save(cursor: Cursor.Cursor): Promise<Cursor.Cursor> {
    const next = Cursor.format(cursor)
    const before = stored
    const isMine = await notebook.write(Cursor.key, (text) =>
      text === before ? { result: true, write: next } : { result: false },
    )
    if (!isMine) throw new OvertakenError()
    stored = next
    followedAt = clock()
    return cursor
  }

  /** The first cursor of a ledger. */
  async function begin(head: Block): Promise<Cursor.Cursor> {
    let isNew = true
    for await (const _ of ledger.channels()) {
      isNew = false
      break
    }
    const back = isNew ? finality.depth : max(adopted, finality.depth)
    const start = await block(max(0n, head.number - back))
    if (!isNew) log.warn('the chain was not followed before: starting a while back', { block: start.number })
    return save(Cursor.startAt(start))
  }

  // --- events

  /** What an event means before it is final. Resolves with whether it is worth remembering. */
  async function see({ kind, channelId }: ContractLog): Promise<boolean> {
    if (kind === 'opened') return true
    if (kind === 'claimed') return false
    const state = await ledger.get(channelId)
    if (!state) return false // another provider's, most likely
    if (state.status === 'open') await ledger.freeze(state)
    forget(channelId)
    return true
  }

  /** The cursor with what is to be remembered of a window: its last block, and the blocks with events. */
  function withBlocks(
    cursor: Cursor.Cursor,
    last: Cursor.Block,
    logs: readonly ContractLog[],
  ): Cursor.Cursor {
    const blocks = new Map([[last.number, { ...last, opened: [] as Hex[], closed: [] as Hex[] }]])
    for (const { kind, channelId, blockNumber: number, blockHash: hash } of logs) {
      const at = blocks.get(number) ?? { number, hash, opened: [], closed: [] }
      blocks.set(number, at)
      if (kind === 'opened') at.opened.push(channelId)
      if (kind === 'closed') at.closed.push(channelId)
    }
    const opened = new Set(logs.flatMap(({ kind, channelId }) => (kind === 'opened' ? channelId : [])))
    for (const { channelId } of cursor.removed)
      if (opened.has(channelId)) log.info('a channel whose open went away is on chain again', { channelId })
    const removed = cursor.removed.filter(({ channelId }) => !opened.has(channelId))
    return Cursor.remember({ ...cursor, removed }, [...blocks.values()])
  }

  /** Reads and books one window of blocks that are final. */
  async function bookOn(cursor: Cursor.Cursor, head: Block, finalNumber: bigint): Promise<Cursor.Cursor> {
    const { seen } = cursor
    const [logs, last] = await windows.read({ from: cursor.booked + 1n, until: finalNumber, seen, head })
    const remembered: ContractLog[] = []
    for (const event of logs) {
      if (await booking.ofOne(event.channelId, () => see(event))) remembered.push(event)
      if (event.kind !== 'opened')
        await booking.ofOne(event.channelId, () => booking.book(event, logs, finalNumber))
    }
    const next = { ...cursor, booked: last.number, seen: last.number > seen.number ? last : seen }
    return save(withBlocks(next, last, remembered))
  }

  /** Reads one window of blocks that are not final. */
  async function seeOn(cursor: Cursor.Cursor, head: Block): Promise<Cursor.Cursor> {
    const { seen } = cursor
    const [logs, last] = await windows.read({ from: seen.number + 1n, until: head.number, seen, head })
    const remembered: ContractLog[] = []
    for (const event of logs) {
      if (await booking.ofOne(event.channelId, () => see(event))) remembered.push(event)
    }
    return save(withBlocks({ ...cursor, seen: last }, last, remembered))
  }

  // --- rounds

  const finalOf = (number: bigint) => max(0n, number - finality.depth)

  /** Says something once, until it is over. */
  function tell(what: 'behind' | 'future', isSo: boolean, message: string, block: bigint): void {
    if (!isSo) said.delete(what)
    else if (!said.has(what)) {
      said.add(what)
      log.warn(message, { block })
    }
  }

  async function round(): Promise<Head> {
    const before = followedAt
    const head = await block()
    const local = BigInt(Math.floor(clock() / 1_000))
    const isFuture = !isLocal && head.timestamp > local + mostAhead
    tell(
      'future',
      isFuture,
      'the newest block is from the future: not followed; check the node and the clock',
      head.number,
    )
    let cursor = await load()
    if (isFuture) {
      if (!cursor) throw new ChainUnavailableError('the newest block is from the future')
      return toHead(best ?? { ...cursor.seen, timestamp: local }, max(0n, head.number - cursor.seen.number))
    }
    cursor ??= await begin(head)
    const agreed = await reorganisations.agree(cursor, head)
    tell('behind', !agreed, 'the node is behind what was read before: waiting for it', head.number)
    if (!agreed) return toHead(best ?? { ...cursor.seen, timestamp: head.timestamp }, 0n)
    cursor = agreed
    best = head
    const finalNumber = finalOf(head.number)
    const isDue = isWorthBooking(cursor, finalNumber)
    for (let read = 0; read < mostWindows && !isStopped; read += 1) {
      if (isDue && cursor.booked < finalNumber) cursor = await bookOn(cursor, head, finalNumber)
      else if (cursor.seen.number < head.number) cursor = await seeOn(cursor, head)
      else break
    }
    if (cursor.seen.number === head.number && !isStopped) {
      try {
        if (cursor.removed.length > 0) cursor = await reorganisations.followRemoved(cursor, finalNumber)
        await reorganisations.followDoubts(cursor, head, finalNumber)
      } catch (error) {
        followedAt = before // what can't be judged is not followed
        throw error
      }
    }
    followedAt = clock()
    return toHead(head, max(0n, head.number - cursor.seen.number))
  }

  /** Not each time: blocks without a close, which are booked together, cost a public node fewer questions. */
  function isWorthBooking({ booked, recent }: Cursor.Cursor, finalNumber: bigint): boolean {
    if (finalNumber - booked >= min(finality.depth / 4n, mostUnbooked)) return true
    return recent.some(({ number, closed }) => number > booked && number <= finalNumber && closed.length > 0)
  }

  function toHead({ number, timestamp }: Block, behind: bigint): Head {
    return { number, timestamp, finalNumber: finalOf(number), behind }
  }

  /** A round; another one when another process has moved the cursor meanwhile. */
  async function rounds(): Promise<Head> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await round()
      } catch (error) {
        if (!(error instanceof OvertakenError) || tries === mostTries) throw error
      }
    }
  }

  return {
    poll() {
      if (isStopped) return Promise.reject(new Error('The follower was stopped.'))
      running ??= rounds().finally(() => {
        running = undefined
      })
      return running
    },
    get followedAt() {
      return followedAt
    },
    async stop() {
      isStopped = true
      await running?.catch(() => {})
    },
  }
}

const mostTries = 5

/** Another process has moved the cursor: it follows the chain too. */
class OvertakenError extends Error {}

const max = (a: bigint, b: bigint) => (a > b ? a : b)
const min = (a: bigint, b: bigint) => (a < b ? a : b)
