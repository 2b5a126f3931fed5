/** Puts the parts of a directory together, and serves it. */
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { type Logger, pino } from 'pino'
import { createApp } from './createApp.ts'
import { createSnapshot } from './listing/Snapshot.ts'
import { startSnapshotPolling } from './listing/startSnapshotPolling.ts'
import { createOutwardFetch, type OutwardFetch } from './net/outwardFetch.ts'
import type { Rooms } from './Rooms.ts'
import { completeSettings, type Settings, type SettingsGiven } from './settings.ts'
import { createProviders } from './store/Providers.ts'

export type StartOptions = Omit<SettingsGiven, 'origin'> & {
  /** `http://` and the address that it listens on by default. */
  origin?: string | undefined
  /** 0 takes a free one; 3100 by default. */
  port?: number | undefined
  host?: string | undefined
  log?: Logger | undefined
  /** For addresses that strangers named; checks and pins them by default. */
  outward?: OutwardFetch | undefined
  now?: (() => number) | undefined
  /** Whether this instance probes, follows the chain and scores; `true` by default. One of several is enough. */
  work?: boolean | undefined
}

export type Directory = {
  /** Where it listens. */
  url: string
  settings: Settings
  rooms: Rooms
  /** Probes those that are due, and counts payments and reports that came in, now; for tests and demos. */
  round(): Promise<void>
  /** Answers what is under way, and stops. The database stays open: whoever opened it closes it. */
  close(): Promise<void>
}

/**
 * Starts a directory.
 *
 * @example
 * ```ts
 * const directory = await startDirectory({ database: await openSqlite('directory.db'), chains, operators })
 * ```
 */
export async function startDirectory({
  port = 3100,
  host = '127.0.0.1',
  log = pino({ name: 'directory' }),
  now = Date.now,
  work = true,
  ...given
}: StartOptions): Promise<Directory> {
  let listener: RequestListener = (_request, response) => {
    response.writeHead(503, { 'Retry-After': '1' }).end()
  }
  const server = createServer((request, response) => listener(request, response))
  server.requestTimeout = 60_000
  server.headersTimeout = 15_000
  await listen(server, port, host)
  const { port: actual } = server.address() as AddressInfo
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${actual}`

  try {
    const settings = completeSettings({ ...given, origin: given.origin ?? url })
    const { database, allowLoopback } = settings
    const providers = createProviders(database)
    const snapshot = createSnapshot(providers, now)
    await snapshot.refresh()
    const outward = given.outward ?? createOutwardFetch({ allowLoopback })
    const rooms: Rooms = { settings, database, providers, snapshot, outward, log, now }
    const app = createApp(rooms)
    const serve = getRequestListener(app.fetch, { overrideGlobalObjects: false })
    listener = (request, response) => {
      if (!app.serveList(request, response)) void serve(request, response)
    }
    const polling = startSnapshotPolling(rooms)
    const running = work ? app.startWork() : undefined
    log.info({ url, origin: settings.origin, providers: snapshot.size }, 'the directory is open')
    return {
      ...{ url, settings, rooms, round: async () => running?.round() },
      async close() {
        await Promise.all([running?.stop(), polling.stop(), close(server)])
      },
    }
  } catch (error) {
    await close(server)
    throw error
  }
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** How long answers that are under way may take to end. */
const patience = 5_000

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), patience)
    server.close(() => {
      clearTimeout(timer)
      resolve()
    })
    server.closeIdleConnections()
  })
}
