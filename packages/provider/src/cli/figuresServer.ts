/** `/health` and `/metrics` of a process without a paywall. Without a token: it is meant for an address that is private. */

import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { DrainError } from '@drain/core'
import { UsageError } from '@drain/keys/node'
import type { Health } from '../observe/Health.ts'
import type { Metrics } from '../observe/Metrics.ts'

/** Where to listen. Port 0: one that is free. */
export type ListenAddress = { host: string; port: number }

/**
 * `9464`, `0.0.0.0:9464` or `[::1]:9464`; without a host only this machine gets there.
 * @throws {UsageError}
 */
export function parseListenAddress(text: string): ListenAddress {
  const [, ipv6, name, digits] = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([a-zA-Z0-9.-]+)):)?(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  if (digits === undefined || port > 65_535)
    throw new UsageError(`--http takes a port or host:port, such as 9464 or 0.0.0.0:9464, not "${text}".`)
  return { host: ipv6 ?? name ?? '127.0.0.1', port }
}

/**
 * Answers `GET /health` and `GET /metrics` as a paywall does.
 * @throws {DrainError} `listen_failed`
 */
export async function serveFigures(
  address: ListenAddress,
  source: {
    health: Health
    metrics: Pick<Metrics, 'render'>
    /** Whose figures they are: beside the status in `/health`. */
    about: { provider: string; chainId: number }
  },
): Promise<{ port: number; close(): Promise<void> }> {
  const { health, metrics, about } = source

  async function tellHealth(response: ServerResponse): Promise<void> {
    const { status, reasons } = await health.report()
    const answer = { status, ...about, ...(reasons.length > 0 ? { reasons } : {}) }
    send(response, status === 'unavailable' ? 503 : 200, 'application/json', JSON.stringify(answer))
  }

  async function tellMetrics(response: ServerResponse): Promise<void> {
    const { contentType, text } = await metrics.render()
    send(response, 200, contentType, text)
  }

  const routes: Record<string, (response: ServerResponse) => Promise<void>> = {
    '/health': tellHealth,
    '/metrics': tellMetrics,
  }
  const server = createServer((request, response) => {
    const [path = ''] = (request.url ?? '').split('?')
    const tell = Object.hasOwn(routes, path) ? routes[path] : undefined
    if (!tell) return send(response, 404, 'text/plain', 'There are /health and /metrics.\n')
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return send(response, 405, 'text/plain', 'Ask with GET.\n')
    tell(response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new DrainError(
          'listen_failed',
          `${address.host}:${address.port} can't be listened on (${error.code}).`,
          {
            action: 'Name another port or host with --http.',
          },
        ),
      ),
    )
    server.listen(address.port, address.host, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

function send(response: ServerResponse, status: number, contentType: string, text: string): void {
  response.writeHead(status, { 'Content-Type': contentType, 'Cache-Control': 'no-store' }).end(text)
}
