/** What has come from a source and nobody has taken yet, within bounds. */
export type ReadAhead<item> = {
  /** What has come, perhaps nothing. Reading goes on from here. */
  take(): item[]
  /** Reads no further until the next `take`; an item that is on its way still comes. */
  rest(): void
  /** Nothing more will come; what has come can still be taken. */
  readonly isOver: boolean
  /** It is over because the source failed. */
  readonly hasFailed: boolean
  /** Ends the source. */
  stop(): void
}

const mostItems = 256
const mostLength = 256 * 1_024

/**
 * Reads a source while somebody is busy with what came before, at most 256 items or 256 KiB of text ahead: a source that is
 * faster than its reader waits.
 *
 * @param convert What to keep of an item, as it comes.
 * @param ring Called when something has come, or the source is over.
 */
export function createReadAhead<given, item extends { text: string }>(
  source: AsyncIterable<given>,
  convert: (given: given) => item,
  ring: () => void,
): ReadAhead<item> {
  const iterator = source[Symbol.asyncIterator]()
  let items: item[] = []
  let length = 0
  let isWanted = false
  let isReading = false
  let isOver = false
  let hasFailed = false

  async function read(): Promise<void> {
    isReading = true
    try {
      while (isWanted && !isOver && items.length < mostItems && length < mostLength) {
        const next = await iterator.next()
        if (next.done) {
          isOver = true
        } else {
          const item = convert(next.value)
          items.push(item)
          length += item.text.length
        }
        ring()
      }
    } catch {
      isOver = true
      hasFailed = true
      ring()
    }
    isReading = false
  }

  return {
    take() {
      const taken = items
      items = []
      length = 0
      isWanted = true
      if (!isReading) void read()
      return taken
    },
    rest() {
      isWanted = false
    },
    get isOver() {
      return isOver
    },
    get hasFailed() {
      return hasFailed
    },
    stop() {
      isWanted = false
      if (isOver) return
      isOver = true
      // A generator that waits for something ends when that has come, and nobody waits for it.
      Promise.resolve(iterator.return?.()).catch(() => {})
    },
  }
}
