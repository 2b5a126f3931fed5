import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { createDesk } from '../src/operators/createDesk.ts'
import { createOperators, signOutCookie } from '../src/operators/createOperators.ts'
import type { Directory } from '../src/startDirectory.ts'
import { createPages } from '../src/web/createPages.ts'

export async function startFront() {
  let directory: Directory | undefined
  let pages: ReturnType<typeof createPages> | undefined
  const app = new Hono()
  app.all('*', async ({ req }) => {
    const url = new URL(req.url)
    if (!directory || !pages) return new Response('', { status: 503 })
    if (!url.pathname.startsWith('/api/')) return pages.fetch(req.raw)
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
      pages = createPages(rooms, { operators: { ...operators, signOutCookie, ...desk } })
    },
    close: () =>
      new Promise<void>((done) => {
        server.close(() => done())
        ;(server as import('node:http').Server).closeAllConnections()
      }),
  }
}
