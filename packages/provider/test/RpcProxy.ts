/** A proxy in front of a chain's node that counts the questions it passes on, and can hold or refuse them. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export type RpcQuestion = { method: string; params: readonly unknown[] }
export type RpcAnswer = { result?: unknown; error?: { code: number; message: string } }

export type RpcProxy = {
  url: string
  /** Questions so far, by method; of one that is sent in a batch, each counts. */
  count(method: string): number
  /** Those of them that were answered. */
  answered(method: string): number
  /** Most questions of a method that were under way at the same time. */
  peak(method: string): number
  /** Holds back answers until the result is called. */
  hold(): () => void
  /** Whether questions fail. */
  isDown: boolean
  /**
   * Answers a question itself when it returns something: `{ error }`, or a `result` made of the true one. Not for questions in
   * batches.
   */
  lie: ((question: RpcQuestion, ask: () => Promise<RpcAnswer>) => Promise<RpcAnswer>) | undefined
  close(): Promise<void>
}

export async function startRpcProxy(target: string): Promise<RpcProxy> {
  const counts = new Map<string, number>()
  const running = new Map<string, number>()
  const peaks = new Map<string, number>()
  let gate: Promise<void> = Promise.resolve()

  function add(map: Map<string, number>, methods: string[], by: number): void {
    for (const method of methods) map.set(method, (map.get(method) ?? 0) + by)
  }

  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const body = Buffer.concat(chunks).toString()
    const methods = [JSON.parse(body)].flat().map(({ method }) => method as string)
    add(counts, methods, 1)
    add(running, methods, 1)
    for (const method of methods)
      peaks.set(method, Math.max(peaks.get(method) ?? 0, running.get(method) ?? 0))
    await gate
    try {
      if (proxy.isDown) throw new Error('down')
      const headers = { 'Content-Type': 'application/json' }
      const ask = () => fetch(target, { method: 'POST', body, headers })
      const question = JSON.parse(body)
      if (proxy.lie && !Array.isArray(question)) {
        const lie = await proxy.lie(question, async () => (await ask()).json())
        response.writeHead(200, headers).end(JSON.stringify({ ...lie, jsonrpc: '2.0', id: question.id }))
        return
      }
      const answer = await ask()
      response.writeHead(answer.status, headers).end(await answer.text())
    } catch {
      response.writeHead(503).end()
    } finally {
      add(running, methods, -1)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  const proxy: RpcProxy = {
    url: `http://127.0.0.1:${port}`,
    count: (method) => counts.get(method) ?? 0,
    answered: (method) => (counts.get(method) ?? 0) - (running.get(method) ?? 0),
    peak: (method) => peaks.get(method) ?? 0,
    hold() {
      let release = () => {}
      gate = new Promise((resolve) => {
        release = resolve
      })
      return release
    },
    isDown: false,
    lie: undefined,
    close() {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
  return proxy
}
