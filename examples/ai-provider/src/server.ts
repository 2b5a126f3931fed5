/** The provider as an HTTP server. */

import type { Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createPaywall } from '@drain-protocol/sdk'
import { endpoints } from '@drain-protocol/sdk/hono'
import { sqliteLedger } from '@drain-protocol/sdk/sqlite'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { type ChatService, paidChat } from './chat.ts'
import { checkChain } from './checkChain.ts'
import type { Config } from './config.ts'
import { describeService } from './docs.ts'
import { freeChat } from './free.ts'
import { localUpstream } from './local.ts'
import { localModel, type Model } from './models.ts'
import { openAiUpstream } from './openai.ts'
import { problem } from './responses.ts'
import type { Upstream } from './upstream.ts'

/** A provider that listens. */
export type RunningServer = {
  /** Such as `http://127.0.0.1:3000`. */
  url: string
  /** Takes no more requests, finishes those that run (for half a minute at most), and closes the ledger. */
  close(): Promise<void>
}

/** How long requests may still run once the server is to close. */
const graceMs = 30_000

/**
 * Starts the provider.
 *
 * @throws {DrainError} When the ledger can't be opened, or the chain is another one or has no such contract.
 */
export async function startServer(
  config: Config,
  log: (message: string) => void = console.error,
): Promise<RunningServer> {
  await checkChain(config, log)
  const {
    account,
    chainId,
    rpcUrl,
    contractAddress,
    usdcAddress,
    models,
    name,
    terms,
    minPayout,
    relay,
    settle,
    adminToken,
    maxBodyBytes,
  } = config
  const paywall = createPaywall({
    account,
    chainId,
    rpcUrl,
    contractAddress,
    usdcAddress,
    ledger: sqliteLedger(config.database),
    name,
    models: Object.fromEntries([...models.values()].map(({ id, pricing }) => [id, pricing])),
    terms,
    docs: describeService(models),
    adminToken,
    minPayout,
    relay,
    settle,
    idempotency: { maxBodyBytes },
    log,
  })
  const service: ChatService = { models, upstreamOf: chooseUpstream(config), maxBodyBytes, log }

  const app = new Hono()
  app.post('/v1/chat/completions', (context) => paidChat(context.req.raw, paywall, service))
  if (config.hasFreeRoute)
    app.post('/free/v1/chat/completions', (context) => freeChat(context.req.raw, service))
  app.use(endpoints(paywall))
  app.all('/v1/chat/completions', () => problem(405, 'method_not_allowed', 'Use POST.', { Allow: 'POST' }))
  app.notFound(() => problem(404, 'not_found', 'There is nothing here. GET /v1/docs tells what there is.'))
  app.onError((error) => {
    log(`a request failed: ${error.stack ?? error.message}`)
    return problem(500, 'internal_error', 'The request failed.')
  })

  const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as HttpServer
  const port = await listen(server, config).catch(async (error) => {
    await paywall.close()
    throw error
  })
  // Such as too many open files: nothing to stop for.
  server.on('error', (error) => log(`the server reports: ${error.message}`))
  return {
    url: `http://${urlHost(config.host)}:${port}`,
    async close() {
      await stopListening(server)
      await paywall.close()
    },
  }
}

function chooseUpstream({ upstream }: Config): (model: Model) => Upstream {
  const local = localUpstream()
  const remote = upstream ? openAiUpstream(upstream) : local
  return (model) => (model.id === localModel ? local : remote)
}

function listen(server: HttpServer, { port, host }: Config): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve((server.address() as AddressInfo).port)
    })
  })
}

function stopListening(server: HttpServer): Promise<void> {
  return new Promise((resolve) => {
    const impatience = setTimeout(() => server.closeAllConnections(), graceMs)
    // Connections that are busy now are kept alive when they are done, unless someone looks again.
    const tidying = setInterval(() => server.closeIdleConnections(), 50)
    server.close(() => {
      clearTimeout(impatience)
      clearInterval(tidying)
      resolve()
    })
  })
}

/** A host as it stands in a URL that reaches it from this machine. */
function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}
