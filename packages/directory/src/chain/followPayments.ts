/**
 * Follows what channels pay, by the contract's events, from a stored cursor. Only blocks that are deep enough not to go away are read, so
 * nothing booked is ever taken back. Cursor and rows are written together: whenever a process ends, each event counts once, and of
 * several instances one books it.
 */
import { ContractError } from '@drain/core'
import type { Logger } from 'pino'
import { zeroAddress } from 'viem'
import type { Database } from '../store/Database.ts'
import { bookPayments } from './bookPayments.ts'
import type { ChainClient } from './clients.ts'
import { type ChannelEvent, lower, readEvents } from './readEvents.ts'

export type PaymentFollower = {
  /**
   * Reads on, as far as it comes with a bounded number of questions. Whether it has read all there is. Calls at the same time share one.
   *
   * @throws what the node answers; what was booked until then stays.
   */
  round(): Promise<boolean>
  /** Rounds by itself until it is stopped, more slowly while the node fails. */
  start(): void
  /** After the window that is being read. */
  stop(): Promise<void>
}

export type FollowOptions = {
  chain: ChainClient
  database: Database
  /** Blocks after which an event is final. */
  confirmations: number
  /** The first block to read where nothing was read yet; by default `lookBack` blocks before the newest. */
  from?: bigint | undefined
  /** Default 5,000: about three hours on Polygon. */
  lookBack?: bigint | undefined
  log: Logger
  /** Milliseconds between two rounds. Default 5,000. */
  everyMs?: number | undefined
}

const widest = 2_000n
const windowsOfRound = 50
const longestPauseMs = 120_000
/** Of one round: each time with a quarter of the blocks. */
const mostRefusals = 6
/** Questions at the same time about channels that were opened before. */
const atOnce = 8

export function followPayments(options: FollowOptions): PaymentFollower {
  const { chain, database, confirmations, log, lookBack = 5_000n, everyMs = 5_000 } = options
  const { chainId } = chain.deployment
  const contract = lower(chain.deployment.contract)
  const name = `payments:${chainId}:${contract}`
  let width = widest
  /** Windows read since one was refused. */
  let inARow = 0
  let failures = 0
  let isTroubled = false
  let isStopped = false
  let running: Promise<boolean> | undefined
  let timer: ReturnType<typeof setTimeout> | undefined

  /** The last block that was booked. */
  async function readCursor(final: bigint): Promise<bigint> {
    const stored = await database.one<{ value: number }>('SELECT value FROM numbers WHERE name = $1', name)
    if (stored) return BigInt(stored.value)
    const first = options.from ?? (final > lookBack ? final - lookBack : 0n)
    await database.run('INSERT INTO numbers VALUES ($1, $2) ON CONFLICT DO NOTHING', name, Number(first) - 1)
    return readCursor(final)
  }

  /** Books what happened after `booked` until `to`. @throws what the node answers */
  async function book(events: readonly ChannelEvent[], booked: bigint, to: bigint): Promise<void> {
    const consumers = await readConsumers(events)
    await database.transaction(async (sql) => {
      const moved = await sql.run(
        'UPDATE numbers SET value = $1 WHERE name = $2 AND value = $3',
        ...[Number(to), name, Number(booked)],
      )
      // Another instance has booked it.
      if (moved === 1) await bookPayments(sql, { chainId, contract }, events, consumers)
    })
  }

  /** The consumers of channels that are claimed from and were opened before the first block that was read. */
  async function readConsumers(events: readonly ChannelEvent[]): Promise<Map<string, string>> {
    const opened = new Set(events.flatMap(({ kind, channelId }) => (kind === 'opened' ? channelId : [])))
    const claimed = new Set(events.flatMap(({ kind, channelId }) => (kind === 'claimed' ? channelId : [])))
    const missing = [...claimed].filter((channelId) => !opened.has(channelId))
    const found = new Map<string, string>()
    for (let at = 0; at < missing.length; at += atOnce) {
      const reads = missing.slice(at, at + atOnce).map(async (channelId) => {
        const row = await database.one<{ consumer: string }>(
          'SELECT consumer FROM payments WHERE chain_id = $1 AND contract = $2 AND channel_id = $3',
          ...[chainId, contract, channelId],
        )
        if (row) return
        const [consumer] = await chain.client.readContract({
          ...{ address: contract, abi: ContractError.callAbi, functionName: 'getChannel', args: [channelId] },
        })
        // Closed meanwhile: its close says whose it was.
        if (consumer !== zeroAddress) found.set(channelId, lower(consumer))
      })
      await Promise.all(reads)
    }
    return found
  }

  /** Slowly: the next width may be refused again. */
  function widen(): void {
    inARow += 1
    if (inARow < 16 || width === widest) return
    inARow = 0
    const wider = width + width / 4n + 1n
    width = wider < widest ? wider : widest
  }

  async function read(): Promise<boolean> {
    const head = await chain.client.getBlockNumber()
    const final = head - BigInt(confirmations)
    if (final < 0n) return true
    let refusals = 0
    for (let window = 0; window < windowsOfRound && !isStopped; window++) {
      const booked = await readCursor(final)
      if (booked >= final) return true
      const last = booked + width < final ? booked + width : final
      let events: ChannelEvent[]
      try {
        events = await readEvents(chain, booked + 1n, last)
      } catch (error) {
        // Many nodes refuse wide windows, each with words of its own.
        width = (last - booked) / 4n || 1n
        inARow = 0
        refusals += 1
        if (refusals > mostRefusals) throw error
        continue
      }
      await book(events, booked, last)
      refusals = 0
      failures = 0
      widen()
    }
    return false
  }

  function round(): Promise<boolean> {
    running ??= read().finally(() => {
      running = undefined
    })
    return running
  }

  async function tick(): Promise<void> {
    let pauseMs = everyMs
    try {
      if (!(await round())) pauseMs = 0
      if (isTroubled) log.info({ chainId }, 'payments are followed again')
      isTroubled = false
      failures = 0
    } catch (err) {
      isTroubled = true
      failures += 1
      pauseMs = Math.min(longestPauseMs, everyMs * 2 ** Math.min(failures - 1, 10))
      log.warn({ err, chainId, pauseMs }, 'payments can’t be followed at the moment')
    }
    if (!isStopped) timer = setTimeout(() => void tick(), pauseMs)
  }

  return {
    round,
    start() {
      if (timer === undefined && !isStopped) timer = setTimeout(() => void tick(), 0)
    },
    async stop() {
      isStopped = true
      clearTimeout(timer)
      await running?.catch(() => undefined)
    },
  }
}
