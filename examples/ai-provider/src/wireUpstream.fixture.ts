import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { JsonObject } from './upstream.ts'

/** A server that speaks as chat APIs do over the wire, with answers from the test. */
export type WireUpstream = {
  baseUrl: string
  /** The requests it got. */
  received: { path: string | undefined; headers: IncomingHttpHeaders; body: JsonObject }[]
  /** How the next requests are answered. */
  answer: (response: ServerResponse, body: JsonObject) => void | Promise<void>
  /** Resolves when a connection that it answers on is closed early by the other side. */
  hungUp: Promise<void>
  close(): Promise<void>
}

export async function startWireUpstream(): Promise<WireUpstream> {
  let hangUp = () => {}
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const piece of request.setEncoding('utf8')) text += piece
    const body = JSON.parse(text)
    upstream.received.push({ path: request.url, headers: request.headers, body })
    response.on('close', () => response.writableFinished || hangUp())
    await upstream.answer(response, body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const upstream: WireUpstream = {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    received: [],
    answer: (response) => void response.end(),
    hungUp: new Promise((resolve) => {
      hangUp = resolve
    }),
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return upstream
}

/** Sends server-sent events; strings go as they are. */
export function sendEvents(response: ServerResponse, events: (JsonObject | string)[]): void {
  response.writeHead(200, { 'Content-Type': 'text/event-stream' })
  writeEvents(response, events)
}

/** The same where the answer has begun. */
export function writeEvents(response: ServerResponse, events: (JsonObject | string)[]): void {
  for (const event of events) {
    response.write(`data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`)
  }
}

/** One chunk of a stream's first choice. */
export function chunk(
  delta: JsonObject,
  finishReason: string | null = null,
  more: JsonObject = {},
): JsonObject {
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1_700_000_000,
    model: 'some-model-2024',
    choices: [{ index: 0, delta, finish_reason: finishReason }],
    ...more,
  }
}
