/** The chat route without payment, to measure what payment adds. Only ever on a local chain. */
import type { MeteredEvent } from '@drain-protocol/sdk'
import { answer, type ChatService, readChatRequest } from './chat.ts'

/** Does the same work as the paid route, for nothing. */
export async function freeChat(request: Request, service: ChatService): Promise<Response> {
  const read = await readChatRequest(request, service)
  if (read instanceof Response) return read
  return answer(read.chat, service, { signal: new AbortController().signal, charge() {}, stream })
}

function stream(events: AsyncIterable<MeteredEvent>): Response {
  const encoder = new TextEncoder()
  const iterator = events[Symbol.asyncIterator]()
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await iterator.next()
      controller.enqueue(encoder.encode(done ? 'data: [DONE]\n\n' : `data: ${value.data}\n\n`))
      if (done) controller.close()
    },
    async cancel() {
      await iterator.return?.()
    },
  })
  return new Response(body, { headers: { 'Content-Type': 'text/event-stream; charset=utf-8' } })
}
