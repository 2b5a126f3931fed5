/** Serves a directory's API and its pages from one origin, for as long as the directory itself serves no pages. */
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { createFunds } from '../src/funds/createFunds.ts'
import { fundPageData } from '../src/funds/fundPageData.ts'
import { fundRoutes } from '../src/funds/fundRoutes.ts'
import { createApi } from '../src/http/createApi.ts'
import { createRateLimit } from '../src/http/RateLimit.ts'
import { createDesk } from '../src/operators/createDesk.ts'
import { createOperators, signOutCookie } from '../src/operators/createOperators.ts'
import { skillPageData } from '../src/skills/skillPageData.ts'
import type { Directory } from '../src/startDirectory.ts'
import { createPages } from '../src/web/createPages.ts'

export async function startFront() {
  let directory: Directory | undefined
  let pages: ReturnType<typeof createPages> | undefined
  let api: ReturnType<typeof createApi> | undefined
  const app = new Hono()
  app.all('*', async ({ req, env }) => {
    const url = new URL(req.url)
    if (!directory || !pages || !api) return new Response('', { status: 503 })
    if (!url.pathname.startsWith('/api/')) return pages.fetch(req.raw)
    if (url.pathname.startsWith('/api/invites')) return api.fetch(req.raw, env as never)
    const body = req.method === 'GET' ? undefined : await req.arrayBuffer()
    const {
      status,
      headers,
      body: answer,
    } = await fetch(`${directory.url}${url.pathname}${url.search}`, {
      method: req.method,
      headers: req.raw.headers,
      ...(body && { body }),
    })
    const passed = new Headers(headers)
    passed.delete('content-encoding')
    passed.delete('content-length')
    return new Response(answer, { status, headers: passed })
  })
  const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const origin = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  return {
    origin,
    use(given: Directory) {
      directory = given
      const { rooms } = given
      const operators = createOperators(rooms)
      const desk = createDesk(rooms)
      const funds = createFunds(rooms)
      api = createApi({
        routes: fundRoutes(rooms, funds),
        operators,
        limit: createRateLimit(1e9, Date.now),
        proxies: 0,
        log: rooms.log,
      })
      pages = createPages(rooms, {
        data: { ...skillPageData(rooms), ...fundPageData(funds) },
        operators: { ...operators, signOutCookie, ...desk },
      })
    },
    close: () =>
      new Promise<void>((done) => {
        server.close(() => done())
        ;(server as import('node:http').Server).closeAllConnections()
      }),
  }
}
