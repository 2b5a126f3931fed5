/** Serves routes: reads and checks what comes in, counts it, and answers refusals alike. */
import type { HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import type { Logger } from 'pino'
import type { Operators } from '../operators/createOperators.ts'
import { Problem } from '../problem.ts'
import { networkOf } from './networkOf.ts'
import type { RateLimit } from './RateLimit.ts'
import type { Route } from './Route.ts'
import { read } from './read.ts'
import { readJson } from './readJson.ts'
import { readQuery } from './readQuery.ts'

const longestBody = 65_536

export type ApiOptions = {
  routes: readonly Route[]
  operators: Operators
  limit: RateLimit
  proxies: number
  log: Logger
}

export function createApi({
  routes,
  operators,
  limit,
  proxies,
  log,
}: ApiOptions): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>()
  app.use('/api/*', async (context, next) => {
    if (context.req.method === 'OPTIONS') return new Response(null, { status: 204, headers: preflight })
    await next()
    context.res.headers.set('Access-Control-Allow-Origin', '*')
    context.res.headers.set('Access-Control-Expose-Headers', 'ETag, Link, Retry-After')
    if (!context.res.headers.has('Cache-Control')) context.res.headers.set('Cache-Control', 'no-store')
    return undefined
  })
  for (const route of routes) {
    app.on(route.method.toUpperCase(), route.path.replace(/\{(\w+)\}/g, ':$1'), async ({ req, env }) => {
      try {
        const forwarded = req.header('x-forwarded-for')
        const network = networkOf(env.incoming?.socket.remoteAddress, forwarded, proxies)
        assertWithin(limit, network, route.cost ?? 1)
        const request = req.raw
        const caller = { network, operator: () => operators.operatorOf(request) }
        if (route.access === 'operator' && !(await caller.operator())) throw notOperator()
        const sent = route.body ? await readJson(request, route.longest ?? longestBody) : {}
        const answer = await route.handle({
          params: (route.params && read(route.params, req.param(), 'path')) as undefined,
          query: readQuery(route.query, new URL(req.url).search) as undefined,
          body: (route.body && read(route.body, sent, 'body')) as undefined,
          sent,
          request,
          caller,
        })
        return answer instanceof Response ? answer : Response.json(answer)
      } catch (error) {
        if (error instanceof Problem) return error.toResponse()
        log.error({ err: error, route: route.path }, 'a request failed')
        return new Problem(500, 'internal', 'Something failed here.', {
          action: 'Try again; tell the operator if it stays so.',
        }).toResponse()
      }
    })
  }
  app.all('/api/*', () =>
    new Problem(404, 'not_found', 'There is no such route.', {
      action: 'See /api/openapi.json.',
    }).toResponse(),
  )
  return app
}

const preflight = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Methods': 'GET, POST, PUT, DELETE',
  'Access-Control-Allow-Headers': 'Authorization, Content-Type, If-None-Match',
  'Access-Control-Max-Age': '86400',
}

/** @throws {Problem} 429 */
export function assertWithin(limit: RateLimit, network: string, cost: number): void {
  const wait = limit.take(network, cost)
  if (wait === 0) return
  throw new Problem(429, 'rate_limited', 'That is too much for one minute.', {
    action: `Go on in ${wait} seconds.`,
    headers: { 'Retry-After': String(wait) },
  })
}

const notOperator = () =>
  new Problem(401, 'not_operator', 'Only an operator may do that.', {
    action: 'Send the operator’s token as Authorization: Bearer, or sign in on /desk.',
    headers: { 'WWW-Authenticate': 'Bearer' },
  })
