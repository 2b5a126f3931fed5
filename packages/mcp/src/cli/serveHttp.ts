/** Streamable HTTP, for clients on this machine that have the token. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { DrainError } from '@drain/core'
import type { Streams } from '@drain/keys/node'
import { localhostHostValidation, localhostOriginValidation, toNodeHandler } from '@modelcontextprotocol/node'
import { createMcpHandler } from '@modelcontextprotocol/server'
import { createAgent } from '../createAgent.ts'
import { createServer } from '../createServer.ts'
import { readMcpSettings } from '../settings.ts'
import { signals } from './serveOverStdio.ts'

const leastToken = 16

/** Serves until a signal comes. */
export async function serveHttp(
  { port }: { port: number },
  env: Record<string, string | undefined>,
  { stderr }: Pick<Streams, 'stderr'>,
): Promise<0> {
  const token = env.DRAIN_MCP_TOKEN || randomBytes(24).toString('base64url')
  if (token.length < leastToken) {
    throw new DrainError('setting_invalid', `DRAIN_MCP_TOKEN has less than ${leastToken} characters.`, {
      action: 'Make one with: openssl rand -hex 24. Unset, one is made at each start.',
    })
  }
  const agent = createAgent(readMcpSettings(env))
  const handler = createMcpHandler(() => createServer(agent))
  const serve = toNodeHandler(handler)
  const [isHost, isOrigin] = [localhostHostValidation(), localhostOriginValidation()]
  const server = createHttpServer((request, response) => {
    // Against pages that a browser on this machine shows: they can't name this host, or send the token.
    if (!isHost(request, response) || !isOrigin(request, response)) return
    if (!carries(request, token)) {
      response.writeHead(401, { 'WWW-Authenticate': 'Bearer', 'Content-Type': 'text/plain' })
      response.end('The token is missing or wrong: Authorization: Bearer <token>.\n')
      return
    }
    if (request.url?.split('?')[0] !== '/mcp') {
      response.writeHead(404, { 'Content-Type': 'text/plain' }).end('MCP is at /mcp.\n')
      return
    }
    serve(request as Parameters<typeof serve>[0], response).catch((error) => {
      stderr.write(`a request failed: ${error instanceof Error ? error.name : 'unknown'}\n`)
      response.destroy()
    })
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const { port: taken } = server.address() as AddressInfo
  const shown = env.DRAIN_MCP_TOKEN ? 'that of DRAIN_MCP_TOKEN' : token
  stderr.write(`drain-mcp serves at http://127.0.0.1:${taken}/mcp, token: ${shown}\n`)
  await Promise.race(signals())
  await handler.close()
  server.close()
  server.closeAllConnections()
  await agent.stop()
  process.exit(0)
}

/** Whether a request has the token; compared in a time that doesn't tell where it differs. */
function carries({ headers }: IncomingMessage, token: string): boolean {
  const given = /^Bearer ([\x21-\x7e]+)$/i.exec(headers.authorization ?? '')?.[1] ?? ''
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(token))
}
