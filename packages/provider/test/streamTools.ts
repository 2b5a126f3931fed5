/** Both ends of a metered stream, in the hands of a test. */
import type { MeteredEvent } from '@drain/provider'

/** Events that come when the test says so. */
export type Upstream = AsyncIterable<MeteredEvent> & {
  push(...events: MeteredEvent[]): void
  end(): void
  fail(): void
  /** How many events were taken from it. */
  readonly taken: number
  /** Whether it was told to stop. */
  readonly isStopped: boolean
}

export function createUpstream(): Upstream {
  const queue: (MeteredEvent | 'end' | 'fail')[] = []
  let wake: (() => void) | undefined
  let taken = 0
  let isStopped = false
  const add = (...items: (MeteredEvent | 'end' | 'fail')[]) => {
    queue.push(...items)
    wake?.()
  }
  return {
    push: add,
    end: () => add('end'),
    fail: () => add('fail'),
    get taken() {
      return taken
    },
    get isStopped() {
      return isStopped
    },
    [Symbol.asyncIterator]: () => ({
      async next() {
        while (queue.length === 0) {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
        const item = queue.shift()
        if (item === 'fail') throw new Error('secret detail')
        if (item === 'end' || item === undefined) return { done: true, value: undefined }
        taken += 1
        return { done: false, value: item }
      },
      async return() {
        isStopped = true
        return { done: true, value: undefined }
      },
    }),
  }
}

/** `count` events that cost `each`, the first of them as the `from`th. */
export function events(count: number, each: bigint, from = 1): MeteredEvent[] {
  return Array.from({ length: count }, (_, index) => ({
    data: JSON.stringify({ index: from + index }),
    cost: BigInt(from + index) * each,
  }))
}

/** An event as it arrives: its name, and its data parsed where it is JSON. */
// biome-ignore lint/suspicious/noExplicitAny: what a stranger sends.
export type Arrived = { event: string; data: any }

/** Reads a stream event by event, and nothing ahead of that. Comments are left out. */
export function readEvents(response: Response) {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  const decoder = new TextDecoder()
  let text = ''

  async function next(): Promise<Arrived | undefined> {
    for (;;) {
      const end = text.indexOf('\n\n')
      if (end >= 0) {
        const block = text.slice(0, end)
        text = text.slice(end + 2)
        const data = /^data: (.*)$/m.exec(block)?.[1]
        if (data === undefined) continue
        const event = /^event: (.*)$/m.exec(block)?.[1] ?? 'message'
        return { event, data: data === '[DONE]' ? data : JSON.parse(data) }
      }
      const { done, value } = await reader.read()
      if (done) return undefined
      text += decoder.decode(value, { stream: true })
    }
  }

  return {
    next,
    /** Reads on to the next event of that name. */
    async until(name: string): Promise<Arrived['data']> {
      for (;;) {
        const arrived = await next()
        if (!arrived) throw new Error(`The stream ended before ${name}.`)
        if (arrived.event === name) return arrived.data
      }
    },
    /** Reads to the end: all events, in order. */
    async rest(): Promise<Arrived[]> {
      const all: Arrived[] = []
      for (let arrived = await next(); arrived; arrived = await next()) all.push(arrived)
      return all
    },
    cancel: () => reader.cancel(),
  }
}
