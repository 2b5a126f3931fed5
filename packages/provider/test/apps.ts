/** The same API behind every adapter, over real connections. */
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type MeteredEvent, type Payment, type Paywall, sse } from '@drain/provider'
import * as onExpress from '@drain/provider/express'
import * as onFastify from '@drain/provider/fastify'
import * as onHono from '@drain/provider/hono'
import * as onNode from '@drain/provider/node'
import { serve } from '@hono/node-server'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'

export type App = { origin: string; port: number; close(): Promise<void> }

/** What the routes do, shared by all, and what they have seen. */
export type Service = {
  paywall: Paywall
  /** Bodies of the orders that were carried out. */
  orders: string[]
  /** Events that streams have asked their upstream for. */
  pulled: number
  /** Whether a stream's upstream was told to stop. */
  isStopped: boolean
  /** Runs while `/store` does its work. */
  whileStored: () => Promise<void>
}

export function serviceOf(paywall: Paywall): Service {
  return { paywall, orders: [], pulled: 0, isStopped: false, whileStored: async () => {} }
}

const price = '0.001'
/** As long as the body, one unit a byte. */
const byLength = (length: string | null | undefined) => BigInt(length ?? 0)
export const streamQuote = 5_000n

/** Endless, one unit an event, each of many kilobytes. */
async function* events(service: Service): AsyncGenerator<MeteredEvent> {
  try {
    for (let cost = 1n; ; cost += 1n) {
      service.pulled += 1
      yield { data: 'x'.repeat(20_000), cost }
    }
  } finally {
    service.isStopped = true
  }
}

const short = (payment: Payment) =>
  sse(
    payment,
    (async function* () {
      for (const cost of [100n, 200n, 300n]) yield { data: `at ${cost}`, cost }
    })(),
  )

function cookies(): Response {
  const headers = new Headers({ 'X-Own': 'kept' })
  headers.append('Set-Cookie', 'a=1')
  headers.append('Set-Cookie', 'b=2')
  return new Response('cookies', { headers })
}

async function order(service: Service, body: string) {
  service.orders.push(body)
  return { number: service.orders.length, body }
}

function honoApp(service: Service): Hono {
  const { paywall } = service
  const { paid, endpoints } = onHono
  const app = new Hono<{ Variables: onHono.PaidVariables }>()
  app.use(endpoints(paywall))
  app.use('/parsed/*', async (c, next) => {
    await c.req.text()
    await next()
  })
  app.get('/free', (c) => c.text('free'))
  app.get('/joke', paid(paywall, price), (c) => c.json({ joke: 'paid' }))
  app.get('/cheap', paid(paywall, price), (c) => {
    c.get('payment').charge(1n)
    return c.text('cheap', 201, { 'X-Own': 'kept' })
  })
  for (const folder of ['', '/parsed']) {
    const byBody = (request: Request) => byLength(request.headers.get('Content-Length'))
    app.post(`${folder}/echo`, paid(paywall, byBody), async (c) => c.text(await c.req.text()))
    app.post(`${folder}/orders`, paid(paywall, price), async (c) =>
      c.json(await order(service, await c.req.text()), 201),
    )
  }
  app.get('/fails', paid(paywall, price), () => {
    throw new Error('secret detail')
  })
  app.get('/missing', paid(paywall, price), (c) => c.text('no', 404))
  app.get('/cookies', paid(paywall, price), () => cookies())
  app.get('/stream', paid(paywall, price), (c) => short(c.get('payment')))
  app.get(
    '/endless',
    paid(paywall, () => streamQuote),
    (c) => sse(c.get('payment'), events(service)),
  )
  app.get('/store', paid(paywall, price), async (c) => {
    await service.whileStored()
    return c.text('stored')
  })
  app.onError((_, c) => c.text('failed', 500))
  return app as unknown as Hono
}

function expressApp(service: Service): express.Express {
  const { paywall } = service
  const { paid, endpoints, send } = onExpress
  const app = express()
  app.set('trust proxy', 'loopback')
  // Once in front of the parsers and once behind them: both orders are common.
  app.use('/parsed', express.text(), express.json(), (req, _res, next) => {
    if (req.originalUrl.startsWith('/parsed/v1')) req.originalUrl = req.originalUrl.replace('/parsed', '')
    next()
  })
  app.use('/parsed', endpoints(paywall))
  app.use(endpoints(paywall))
  app.get('/free', (_, res) => void res.send('free'))
  app.get('/joke', paid(paywall, price), (_, res) => void res.json({ joke: 'paid' }))
  app.get('/cheap', paid(paywall, price), (_, res) => {
    res.locals.payment.charge(1n)
    res.status(201).set('X-Own', 'kept').type('text').write('che')
    res.end('ap')
  })
  const written = (body: unknown) => (typeof body === 'string' ? body : JSON.stringify(body))
  for (const folder of ['', '/parsed']) {
    const parsers = [express.text(), express.json()]
    const byBody = (req: express.Request) => byLength(req.get('Content-Length'))
    app.post(
      `${folder}/echo`,
      paid(paywall, byBody),
      ...parsers,
      (req: express.Request, res: express.Response) => void res.type('text').send(written(req.body)),
    )
    app.post(
      `${folder}/orders`,
      paid(paywall, price),
      ...parsers,
      async (req: express.Request, res: express.Response) =>
        void res.status(201).json(await order(service, written(req.body))),
    )
  }
  app.get('/fails', paid(paywall, price), () => {
    throw new Error('secret detail')
  })
  app.get('/missing', paid(paywall, price), (_, res) => void res.writeHead(404).end('no'))
  app.get('/cookies', paid(paywall, price), (_, res) => send(res, cookies()))
  app.get('/stream', paid(paywall, price), (_, res) => send(res, short(res.locals.payment)))
  app.get(
    '/endless',
    paid(paywall, () => streamQuote),
    (_, res) => send(res, sse(res.locals.payment, events(service))),
  )
  app.get('/store', paid(paywall, price), async (_, res) => {
    await service.whileStored()
    res.send('stored')
  })
  app.get('/unsendable', paid(paywall, price), (_, res) => void res.writeHead(200, { 'X-Bad': 'a\nb' }).end())
  app.get('/wrong-type', paid(paywall, price), (_, res) => void res.write(123 as never))
  app.use(((_error, _req, res, next) => {
    if (res.headersSent) next(_error)
    else res.status(500).send('failed')
  }) as express.ErrorRequestHandler)
  return app
}

async function fastifyApp(service: Service): Promise<RequestListener> {
  const { paywall } = service
  const { paid, endpoints, send } = onFastify
  const app = fastify({ trustProxy: true })
  const behind = (cost: Parameters<typeof paid>[1]) => ({ preHandler: paid(paywall, cost) })
  app.register(endpoints(paywall))
  app.get('/free', async () => 'free')
  app.get('/joke', behind(price), async () => ({ joke: 'paid' }))
  app.get('/cheap', behind(price), (request, reply) => {
    request.payment.charge(1n)
    reply.code(201).header('X-Own', 'kept').send('cheap')
  })
  const written = (body: unknown) => (typeof body === 'string' ? body : JSON.stringify(body))
  for (const folder of ['', '/parsed']) {
    app.post(
      `${folder}/echo`,
      behind((request) => byLength(request.headers['content-length'])),
      async (request) => written(request.body),
    )
    app.post(`${folder}/orders`, behind(price), async (request, reply) => {
      reply.code(201)
      return order(service, written(request.body))
    })
  }
  app.get('/fails', behind(price), async () => {
    throw new Error('secret detail')
  })
  app.get('/missing', behind(price), async (_, reply) => {
    // Sent, and nothing returned: Fastify must not take it for unanswered while it is held back.
    reply.code(404).send('no')
  })
  app.get('/cookies', behind(price), (_, reply) => send(reply, cookies()))
  app.get('/stream', behind(price), (request, reply) => send(reply, short(request.payment)))
  app.get(
    '/endless',
    behind(() => streamQuote),
    (request, reply) => send(reply, sse(request.payment, events(service))),
  )
  app.get('/store', behind(price), async () => {
    await service.whileStored()
    return 'stored'
  })
  app.get('/unsendable', behind(price), (_, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, { 'X-Bad': 'a\nb' }).end()
  })
  app.get('/wrong-type', behind(price), (_, reply) => {
    reply.hijack()
    reply.raw.write(123 as never)
  })
  app.setErrorHandler((error: { statusCode?: number }, _, reply) =>
    reply.code(error.statusCode ?? 500).send('failed'),
  )
  await app.ready()
  return app.routing
}

function nodeApp(service: Service): RequestListener {
  const { paywall } = service
  const { paid, endpoints, send } = onNode
  const textOf = async (req: AsyncIterable<Buffer>) => {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk)
    return Buffer.concat(chunks).toString()
  }
  const byBody: Parameters<typeof paid>[1] = (req) => byLength(req.headers['content-length'])
  const echo = paid(paywall, byBody, async (req, res) => res.end(await textOf(req)))
  const orders = paid(paywall, price, async (req, res) => {
    res.writeHead(201, { 'Content-Type': 'application/json' })
    res.end(JSON.stringify(await order(service, await textOf(req))))
  })
  const routes: Record<string, RequestListener> = {
    'GET /free': (_, res) => res.end('free'),
    'GET /joke': paid(paywall, price, (_, res) => {
      res.setHeader('Content-Type', 'application/json')
      res.end('{"joke":"paid"}')
    }),
    'GET /cheap': paid(paywall, price, (_, res, payment) => {
      payment.charge(1n)
      res.writeHead(201, ['X-Own', 'kept'])
      res.write('che')
      res.end('ap')
    }),
    'POST /echo': echo,
    'POST /orders': orders,
    'GET /fails': paid(paywall, price, async () => {
      throw new Error('secret detail')
    }),
    'GET /missing': paid(paywall, price, (_, res) => res.writeHead(404).end('no')),
    'GET /cookies': paid(paywall, price, (_, res) => send(res, cookies())),
    'GET /stream': paid(paywall, price, (_, res, payment) => send(res, short(payment))),
    'GET /endless': paid(
      paywall,
      () => streamQuote,
      (_, res, payment) => send(res, sse(payment, events(service))),
    ),
    'GET /store': paid(paywall, price, async (_, res) => {
      await service.whileStored()
      res.end('stored')
    }),
    'GET /parts': paid(paywall, price, async (req, res) => {
      const size = Number(req.headers['x-size'])
      const part = Buffer.alloc(size / 10, 'x')
      for (let count = 0; count < 10; count += 1) {
        await new Promise<void>((resolve) => res.write(part, () => resolve()))
      }
      service.orders.push('parts')
      res.end()
    }),
    'GET /own-events': paid(paywall, price, async (_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write('data: now\n\n')
      await service.whileStored()
      res.end('data: later\n\n')
    }),
    'GET /unsendable': paid(paywall, price, (_, res) => res.writeHead(200, { 'X-Bad': 'a\nb' }).end()),
    'GET /wrong-type': paid(paywall, price, (_, res) => res.write(123 as never)),
  }
  return endpoints(paywall, (req, res) => {
    const { pathname } = new URL(`http://x${(req.url ?? '').replace(/^https?:\/\/[^/]*/, '')}`)
    const path = pathname.replace('/parsed/', '/')
    const route = routes[`${req.method === 'HEAD' ? 'GET' : req.method} ${path}`]
    if (route) route(req, res)
    else res.writeHead(404).end('nothing here')
  })
}

/** A server that listens, on a port of its own. */
export function listening(server: Server): Promise<App> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      resolve({
        port,
        origin: `http://127.0.0.1:${port}`,
        close: () =>
          new Promise((done) => {
            server.close(() => done())
            server.closeAllConnections()
          }),
      })
    })
  })
}

export const adapters = ['Hono', 'Express', 'Fastify', 'node:http'] as const

export async function startApp(adapter: (typeof adapters)[number], service: Service): Promise<App> {
  if (adapter === 'Hono') {
    return new Promise((resolve) => {
      const server = serve({ fetch: honoApp(service).fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) =>
        resolve({
          port,
          origin: `http://127.0.0.1:${port}`,
          close: () =>
            new Promise((done) => {
              server.close(() => done())
              ;(server as Server).closeAllConnections()
            }),
        }),
      )
    })
  }
  if (adapter === 'Express') return listening(createServer(expressApp(service)))
  if (adapter === 'Fastify') return listening(createServer(await fastifyApp(service)))
  return listening(createServer(nodeApp(service)))
}
