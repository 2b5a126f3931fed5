import { unsettled } from '../http/failures.ts'
import type { Payment } from '../http/Payment.ts'
import { awaitVoucher } from './awaitVoucher.ts'
import {
  doneFrame,
  type Ended,
  endFrames,
  errorFrame,
  eventFrame,
  keepAlive,
  streamHeaders,
} from './frames.ts'
import { createOutlet } from './Outlet.ts'
import { createReadAhead } from './ReadAhead.ts'
import type { MeteredEvent } from './sse.ts'

/** An event as it is sent, and what the request costs up to and including it. */
type Priced = { text: string; cost: bigint }

/**
 * The body of a metered stream. Its rule: what an event costs is charged, durably, before the event is sent.
 *
 * While one step is being charged, the events that come meanwhile are collected, and charged together in the next: the
 * ledger is written at the rate of its disk, not of the events. With each step the next one is reserved.
 *
 * A client that goes away ends it; where all is paid and a retry gets what is kept, it is read on instead, as far as it can be kept.
 */
export function meterEvents(
  payment: Payment,
  events: AsyncIterable<MeteredEvent>,
): ReadableStream<Uint8Array> {
  const { lines, settings } = payment.streams
  let stop: Ended | undefined
  let wake: (() => void) | undefined
  let ahead = payment.stepSize

  const ring = () => {
    wake?.()
    wake = undefined
  }
  const rung = () =>
    new Promise<void>((resolve) => {
      wake = resolve
    })
  const end = (ended: Ended) => {
    stop ??= ended
    ring()
  }

  let highest = 0n
  const source = createReadAhead(
    events,
    ({ data, event, cost = payment.reported }): Priced => {
      if (cost > highest) highest = cost
      return { text: eventFrame(data, event), cost: highest }
    },
    ring,
  )
  const outlet = createOutlet(ring, () => {
    if (payment.outlivesClient) {
      payment.abandon()
      ring()
    } else end('left')
    return finished
  })
  const onAbort = () => end(payment.isAbandoned ? 'left' : 'closed')
  payment.signal.addEventListener('abort', onAbort, { once: true })
  if (payment.signal.aborted) onAbort()
  const beat = setInterval(() => outlet.isWanted && outlet.send(keepAlive), settings.keepAliveMs)

  async function relay(): Promise<Ended> {
    for (;;) {
      if (stop) return stop
      if (payment.isAbandoned) {
        if (payment.sent?.isTooLong) return 'left'
      } else if (!outlet.isWanted) {
        source.rest()
        await rung()
        continue
      }
      const batch = source.take()
      if (batch.length > 0) {
        const ended = await pass(batch)
        if (ended) return ended
      } else if (source.isOver) {
        return source.hasFailed ? 'failed' : 'complete'
      } else {
        await rung()
      }
    }
  }

  /** Charges and sends events, in as many steps as the vouchers make of it. */
  async function pass(batch: Priced[]): Promise<Ended | undefined> {
    while (batch.length > 0) {
      const covered = within(batch, payment.captured + payment.held)
      const cost = batch[covered - 1]?.cost ?? payment.captured
      if (cost > payment.captured || covered < batch.length) {
        if (payment.captured > 0n) ahead = max(ahead, 2n * (cost - payment.captured))
        await payment.step(cost, toHold(batch, cost))
      }
      send(batch.splice(0, within(batch, payment.captured)))
      if (payment.account.status !== 'open') return 'closed'
      const [next] = batch
      if (!next) return undefined
      if (stop) return stop
      if (next.cost > payment.quote) return 'quote'
      const needed = next.cost - payment.captured
      if (needed <= payment.held) continue
      const wanted = max(needed, toHold(batch, payment.captured))
      const ended = await awaitVoucher({
        ...{ payment, needed, wanted, rung, ring },
        send: outlet.send,
        isRead: () => outlet.isWanted,
        stopped: () => stop,
      })
      if (ended) return ended
    }
    return undefined
  }

  /** What to reserve once `cost` is charged: the rest of the batch, and a step ahead. */
  function toHold(batch: Priced[], cost: bigint): bigint {
    const rest = max(0n, (batch.at(-1)?.cost ?? 0n) - cost)
    // Others wait for a voucher already: what is held is kept, and nothing laid by in front of them.
    const spare = lines.isEmpty(payment.channelId) ? ahead : 0n
    const kept = payment.captured + payment.held - cost
    return min(payment.quote - cost, max(rest + spare, kept))
  }

  function send(passed: Priced[]): void {
    if (passed.length === 0) return
    const text = passed.map((event) => event.text).join('')
    payment.sent?.add(text)
    outlet.send(text)
  }

  async function settle(ended: Ended): Promise<void> {
    if (ended === 'failed') {
      const frame = errorFrame('upstream_failed', 'The upstream failed.')
      payment.sent?.add(frame)
      outlet.send(frame)
    }
    // What was reported for events that were read ahead and never sent is not owed.
    payment.charge(ended === 'complete' ? max(payment.captured, payment.reported) : payment.captured)
    const body = payment.captured > 0n || ended === 'complete' ? payment.sent?.bytes() : undefined
    const answer = body && { status: 200, headers: Object.entries(streamHeaders), body, ended }
    const costs = await payment.settle(true, answer)
    outlet.send(endFrames(costs, ended, payment.writer?.streamReceipt(costs, payment.account)))
  }

  async function run(): Promise<void> {
    try {
      const ended = await relay()
      stop ??= ended
      // Work that waits for something itself, and so doesn't see that nobody asks it for more.
      if (ended !== 'complete') payment.abort()
      source.stop()
      await settle(ended)
    } catch (error) {
      payment.abort()
      // What the ledger was last asked to charge it may have charged: there is no honest receipt.
      const { code, message } = unsettled(error)
      outlet.send(errorFrame(code, message) + doneFrame)
      payment.charge(payment.captured)
      payment.settle(false).catch(() => {})
    }
    source.stop()
    clearInterval(beat)
    payment.signal.removeEventListener('abort', onAbort)
    outlet.close()
  }
  const finished = run()
  return outlet.body
}

/** How many events, from the first on, cost no more than that. */
function within(batch: Priced[], amount: bigint): number {
  const beyond = batch.findIndex(({ cost }) => cost > amount)
  return beyond < 0 ? batch.length : beyond
}

const max = (a: bigint, b: bigint) => (a > b ? a : b)
const min = (a: bigint, b: bigint) => (a < b ? a : b)
