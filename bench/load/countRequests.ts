import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A proxy that counts what passes, for figures that the client's own word is not enough for. */
export type RequestCounter = {
  /** What clients are to call in the server's place. */
  origin: string
  /** Requests that arrived since the last call, by method and path. */
  take(): Map<string, number>
  close(): Promise<void>
}

/** Passes every request on to a port of this machine, streams as they come. */
export async function countRequests(port: number): Promise<RequestCounter> {
  let seen = new Map<string, number>()
  const server = createServer((incoming, outgoing) => {
    const name = `${incoming.method} ${incoming.url?.split('?')[0]}`
    seen.set(name, (seen.get(name) ?? 0) + 1)
    forward(incoming, outgoing, port)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    take() {
      const taken = seen
      seen = new Map()
      return taken
    },
    close() {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

function forward(incoming: IncomingMessage, outgoing: ServerResponse, port: number): void {
  const { method, url, headers } = incoming
  const onward = request({ host: '127.0.0.1', port, method, path: url, headers }, (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(outgoing)
  })
  onward.on('error', () => outgoing.destroy())
  outgoing.on('close', () => outgoing.writableFinished || onward.destroy())
  incoming.pipe(onward)
}
