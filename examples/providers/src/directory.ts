/**
 * A static directory with the marketplace's API: it lists the providers that it was told of. Less than `@drain/directory`: nobody can register,
 * nothing is scored, and feedback is kept in memory and not verified.
 */

import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { parseObject, readBody } from './body.ts'
import { type Feedback, parseFeedback } from './feedback.ts'
import { type Listed, readProvider, toListing } from './listing.ts'
import { problem, refused } from './problem.ts'

const note =
  'A stand-in for the marketplace: a static list, without scores (every qualityScore is 0.5) and without registration.'
const mostFeedback = 100
const headers = { 'Access-Control-Allow-Origin': '*', 'Cache-Control': 'no-store' }

export type Directory = {
  url: string
  /** Reads every provider's `/v1/pricing` now. */
  refresh(): Promise<void>
  close(): Promise<void>
}

/**
 * Starts a directory of `providers`, and reads the price list of each at once and every `refreshMs`, a minute by default. One that
 * doesn't answer is listed as offline, with what is known of it.
 */
export async function startDirectory({
  providers,
  port = 0,
  refreshMs = 60_000,
}: {
  providers: readonly Listed[]
  port?: number
  refreshMs?: number
}): Promise<Directory> {
  let readings = await Promise.all(providers.map((provider) => readProvider(provider)))
  const feedback: (Feedback & { receivedAt: string })[] = []

  async function refresh(): Promise<void> {
    readings = await Promise.all(providers.map((provider, index) => readProvider(provider, readings[index])))
  }

  const app = new Hono()
  app.get('/api/mcp/providers', () => {
    const timestamp = new Date().toISOString()
    const listings = unique(readings.map((reading, index) => toListing(providers[index] as Listed, reading)))
    const body = { version: '1.0', providers: listings, count: listings.length, timestamp, _meta: { note } }
    return Response.json(body, { headers })
  })
  app.post('/api/feedback', async ({ req }) => {
    try {
      const given = parseFeedback(parseObject(await readBody(req.raw, 8_192), 'The body'))
      feedback.push({ ...given, receivedAt: new Date().toISOString() })
      if (feedback.length > mostFeedback) feedback.shift()
      return Response.json({ ok: true, note: 'Kept in memory, not verified, not counted.' }, { headers })
    } catch (error) {
      return refused(error)
    }
  })
  app.get('/api/feedback', () =>
    Response.json({ feedback, count: feedback.length, _meta: { note } }, { headers }),
  )
  app.notFound(() => problem(404, 'not_found', 'There are GET /api/mcp/providers and /api/feedback.'))

  const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const timer = setInterval(refresh, refreshMs)
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    refresh,
    close() {
      clearInterval(timer)
      return new Promise((resolve) => {
        server.close(() => resolve())
        if ('closeAllConnections' in server) server.closeAllConnections()
      })
    },
  }
}

/** Two may have chosen the same name. */
function unique<listing extends { id: string }>(listings: readonly listing[]): listing[] {
  const ids = new Set<string>()
  return listings.map((listing) => {
    let { id } = listing
    for (let count = 2; ids.has(id); count++) id = `${listing.id}-${count}`
    ids.add(id)
    return { ...listing, id }
  })
}
