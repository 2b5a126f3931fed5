import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** What a round of load has shown. */
export type Round = {
  requests: number
  perSecond: number
  /** How often each status came. */
  statuses: ReadonlyMap<number, number>
  /** Milliseconds, sorted. */
  latencies: Float64Array
  /** Processor time of this process, as a share of one core. */
  loadShare: number
}

/**
 * Sends requests that are ready for the wire, one connection per queue, kept alive, each waiting for the answer before the
 * next is sent. The clock runs from the first byte sent to the last byte received; connecting is not part of it.
 */
export async function drive(port: number, queues: readonly (readonly Buffer[])[]): Promise<Round> {
  const requests = queues.reduce((sum, queue) => sum + queue.length, 0)
  const statuses = new Map<number, number>()
  const latencies = new Float64Array(requests)
  let answered = 0
  const sockets = await Promise.all(queues.map(() => open(port)))
  const before = process.cpuUsage()
  const startedAt = performance.now()
  await Promise.all(
    sockets.map((socket, index) =>
      converse(socket, queues[index] ?? [], (status, milliseconds) => {
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
        latencies[answered++] = milliseconds
      }),
    ),
  )
  const milliseconds = performance.now() - startedAt
  const { user, system } = process.cpuUsage(before)
  return {
    requests,
    perSecond: (requests * 1_000) / milliseconds,
    statuses,
    latencies: latencies.sort(),
    loadShare: (user + system) / 1_000 / milliseconds,
  }
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  return socket
}

/** Sends a queue over a connection, one request after the other, and closes it. */
function converse(
  socket: Socket,
  queue: readonly Buffer[],
  onAnswer: (status: number, milliseconds: number) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let sent = 0
    let sentAt = 0
    let text = ''
    const send = () => {
      const request = queue[sent++]
      if (!request) {
        resolve()
        socket.destroy()
        return
      }
      sentAt = performance.now()
      socket.write(request)
    }
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      if (!isWhole(text)) return
      const status = Number(text.slice(9, 12))
      text = ''
      onAnswer(status, performance.now() - sentAt)
      send()
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('The server closed a connection in the middle of a round.')))
    send()
  })
}

/** Whether an answer has arrived in full. */
function isWhole(text: string): boolean {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return false
  const length = /\r\ncontent-length: *(\d+)/i.exec(text)
  if (length && length.index < end) return text.length >= end + 4 + Number(length[1])
  if (text.startsWith('204', 9) || text.startsWith('304', 9)) return true
  return text.endsWith('0\r\n\r\n')
}
