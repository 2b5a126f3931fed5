import { Channel } from '@drain/core'
import type { Hex } from 'viem'
import { createPaymentEventFilter } from './paymentEvents.ts'

/** What a stream's `payment-receipt` says. */
export type Receipt = { cost: bigint; total: bigint }

/** Who hears of what comes. */
export type StreamWatcher = {
  /** Bytes that are passed on. */
  onContent(bytes: number): void
  /** The provider waits for a voucher on this channel. */
  onNeedVoucher(): void
  /**
   * Called once: with the receipt as soon as one came, else at the stream's end or failure, or because the reader `left`.
   */
  onEnd(receipt: Receipt | undefined, left: boolean): Promise<void>
}

/** How long a stream that isn't at its end may go unread before it counts as left, in milliseconds. */
export const idleTime = 600_000

/** The same response, with this protocol's events taken out of its stream. Nothing is read ahead of the reader. */
export function meterStream(response: Response, channelId: Hex, watcher: StreamWatcher): Response {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  let receipt: Receipt | undefined
  const filter = createPaymentEventFilter(({ name, data }) => {
    if (name === 'payment-receipt') receipt ??= parseReceipt(data, channelId)
    else if (isAbout(data, channelId)) watcher.onNeedVoucher()
  })
  let ended = false
  async function end(left = false): Promise<void> {
    if (ended) return
    ended = true
    clearTimeout(idle)
    await watcher.onEnd(receipt, left)
  }

  let idle: ReturnType<typeof setTimeout> | undefined
  /** Readers may drop a body without a word: what is reserved for it isn't held for ever. */
  function expectReader(controller: ReadableStreamDefaultController<Uint8Array>): void {
    if (ended) return
    idle = setTimeout(() => {
      const error = new Error(`the stream was not read for ${idleTime / 60_000} minutes`)
      controller.error(error)
      Promise.all([reader.cancel(error), end(true)]).catch(() => {})
    }, idleTime)
    if (typeof idle === 'object') idle.unref()
  }

  const body = new ReadableStream<Uint8Array>(
    {
      start: expectReader,
      async pull(controller) {
        clearTimeout(idle)
        try {
          // A chunk may hold nothing to pass on; a pull has to give something, or end.
          for (;;) {
            const { done, value } = await reader.read()
            const passed = done ? filter.flush() : filter.push(value)
            watcher.onContent(passed.length)
            // Readers may stop at [DONE] without reading to the end.
            if (done || receipt) await end()
            if (passed.length > 0) controller.enqueue(passed)
            if (done) controller.close()
            if (done || passed.length > 0) break
          }
          expectReader(controller)
        } catch (error) {
          await end()
          controller.error(error)
        }
      },
      async cancel(reason) {
        await Promise.all([reader.cancel(reason), end(true)])
      },
    },
    { highWaterMark: 0 },
  )

  const headers = new Headers(response.headers)
  headers.delete('content-length')
  const metered = new Response(body, { status: response.status, statusText: response.statusText, headers })
  // A made-up response has no address; readers log it.
  Object.defineProperty(metered, 'url', { value: response.url })
  return metered
}

function isAbout(data: string, channelId: Hex): boolean {
  try {
    return Channel.parseId(JSON.parse(data).channelId) === channelId
  } catch {
    return false
  }
}

/** Exact decimal strings, of this channel; anything else is no receipt. */
function parseReceipt(data: string, channelId: Hex): Receipt | undefined {
  try {
    const { channelId: id, cost, total } = JSON.parse(data)
    if (Channel.parseId(id) !== channelId || !isInteger(cost) || !isInteger(total)) return undefined
    return { cost: BigInt(cost), total: BigInt(total) }
  } catch {
    return undefined
  }
}

function isInteger(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9]{1,78}$/.test(value)
}
