/** The end of a provider: it takes nothing more, lets what runs come to its end, and charges for what was done. */
import type { RunningPayments } from './RunningPayments.ts'

export type Shutdown = {
  readonly isClosing: boolean
  /** How much of it there is now. */
  readonly inside: number
  /** Counts work that has to end before the store is closed. */
  during<result>(work: () => Promise<result>): Promise<result>
  /** Ends it all; later calls get the first one's promise. */
  close(): Promise<void>
}

/** How long work that was told to stop may take to report what it cost. */
const stopMs = 2_000

/**
 * @param options.graceMs How long requests that run may go on.
 * @param options.finish Closes what the requests needed.
 */
export function createShutdown(options: {
  running: Pick<RunningPayments, 'all'>
  graceMs: number
  finish: () => Promise<void>
}): Shutdown {
  const { running, graceMs, finish } = options
  let closing: Promise<void> | undefined
  let isClosing = false
  let inside = 0
  let whenEmpty: (() => void) | undefined

  /** Waits until nothing runs, or the time is over. */
  async function untilIdle(ms: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const tooLong = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), ms)
    })
    for (;;) {
      const payments = [...running.all()]
      if (payments.length === 0 && inside === 0) break
      const work = payments.map((payment) => payment.settled)
      const left = new Promise<void>((resolve) => {
        whenEmpty = resolve
        if (inside === 0) resolve()
      })
      const all = Promise.allSettled([...work, left])
      if ((await Promise.race([all, tooLong])) === 'late') break
    }
    clearTimeout(timer)
  }

  async function end(): Promise<void> {
    await untilIdle(graceMs)
    // Streams end at what they have charged, with a receipt. What is read on for a retry ends last: the retry gets no more of it.
    const read = [...running.all()].filter((payment) => !payment.isAbandoned)
    for (const payment of read) payment.abort()
    await untilIdle(stopMs)
    const unread = [...running.all()].filter((payment) => payment.isAbandoned)
    for (const payment of unread) payment.abort()
    if (unread.length > 0) await untilIdle(stopMs)
    // Work that doesn't listen is not charged, unless it has reported a cost: its reservation is given back.
    await Promise.allSettled([...running.all()].map((payment) => payment.cutOff()))
    await finish()
  }

  return {
    get isClosing() {
      return isClosing
    },
    get inside() {
      return inside
    },
    async during(work) {
      inside += 1
      try {
        return await work()
      } finally {
        inside -= 1
        if (inside === 0) whenEmpty?.()
      }
    },
    close() {
      isClosing = true
      closing ??= end()
      return closing
    },
  }
}
