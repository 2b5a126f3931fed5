/** Servers on this machine that say what they are told to, byte by byte. */

import type { AddressInfo } from 'node:net'
import { createServer, type Server, type Socket } from 'node:net'
import tls from 'node:tls'
import { certificate } from './certificate.fixture.ts'

export type RawServer = {
  port: number
  /** What came, one text per connection, as far as it was read. */
  received: string[]
  close(): Promise<void>
}

/**
 * @param answer Called once the head of a request has come.
 * @param host Where it listens.
 */
export async function startRawServer(
  answer: (socket: Socket, request: string) => void,
  { host = '127.0.0.1', isTls = false } = {},
): Promise<RawServer> {
  const received: string[] = []
  const sockets = new Set<Socket>()
  const onSocket = (socket: Socket) => {
    const index = received.push('') - 1
    let isAnswered = false
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', (data) => {
      received[index] += data.toString('latin1')
      if (isAnswered || !received[index]?.includes('\r\n\r\n')) return
      isAnswered = true
      answer(socket, received[index] ?? '')
    })
  }
  const server: Server = isTls ? tls.createServer(certificate, onSocket) : createServer(onSocket)
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, host, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    received,
    close() {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

/** A whole answer. */
export function reply(status: number, body = '', headers: Readonly<Record<string, string>> = {}): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${status} Some\r\n${lines.join('')}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}
