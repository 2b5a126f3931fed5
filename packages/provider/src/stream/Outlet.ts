/** The sending end of a response's body. */
export type Outlet = {
  readonly body: ReadableStream<Uint8Array>
  /** Whether the client has read all that was sent, and asks for more. */
  readonly isWanted: boolean
  send(text: string): void
  close(): void
}

const encoder = new TextEncoder()

/**
 * A body that knows whether it is read. What is sent while nobody asks is kept: look at `isWanted` first.
 *
 * @param ring Called when the client asks for more.
 * @param onCancel The client is gone. The body's cancellation waits for it.
 */
export function createOutlet(ring: () => void, onCancel: () => Promise<void>): Outlet {
  let controller: ReadableStreamDefaultController<Uint8Array>
  let answer: (() => void) | undefined
  let isClosed = false
  const body = new ReadableStream<Uint8Array>(
    {
      start(given) {
        controller = given
      },
      pull() {
        return new Promise<void>((resolve) => {
          answer = resolve
          ring()
        })
      },
      cancel() {
        isClosed = true
        return onCancel()
      },
    },
    { highWaterMark: 0 },
  )
  function answered(): void {
    answer?.()
    answer = undefined
  }
  return {
    body,
    get isWanted() {
      return answer !== undefined
    },
    send(text) {
      if (isClosed || text === '') return
      controller.enqueue(encoder.encode(text))
      answered()
    },
    close() {
      if (isClosed) return
      isClosed = true
      controller.close()
      answered()
    },
  }
}
