/** Everything that answers requests, and the work that goes on beside it. */
import type { HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import { createApi } from './http/createApi.ts'
import { createFigures } from './http/Figures.ts'
import { openApi } from './http/openApi.ts'
import { createRateLimit } from './http/RateLimit.ts'
import type { Route } from './http/Route.ts'
import { telemetryRoute } from './http/telemetryRoute.ts'
import { listingRoutes } from './listing/listingRoutes.ts'
import { createPreparedLists } from './listing/PreparedLists.ts'
import { createServeList, type ServeList } from './listing/serveList.ts'
import { createDesk } from './operators/createDesk.ts'
import { createOperators } from './operators/createOperators.ts'
import { operatorRoutes } from './operators/operatorRoutes.ts'
import type { Rooms } from './Rooms.ts'
import { registrationRoutes } from './register/registrationRoutes.ts'
import { version } from './version.ts'

export type App = {
  fetch: Hono<{ Bindings: HttpBindings }>['fetch']
  serveList: ServeList
  /** Begins to probe, to follow the chain and to score; answers how to end it. */
  start(): () => Promise<void>
  round(): Promise<void>
}

export function createApp(rooms: Rooms): App {
  const { settings, snapshot, database, log, now } = rooms
  const { proxies } = settings
  const limit = createRateLimit(settings.requestsPerMinute, now)
  const operators = createOperators({ settings, database, now })
  const desk = createDesk(rooms)
  const figures = createFigures(snapshot)
  const routes: Route[] = [
    ...listingRoutes(rooms),
    ...registrationRoutes(rooms),
    telemetryRoute(({ protocol, httpStatus }) => figures.telemetry(protocol, httpStatus)),
    ...operatorRoutes(desk, operators),
  ]
  const document = openApi(routes, { origin: settings.origin, version })

  const app = new Hono<{ Bindings: HttpBindings }>()
  app.use(async (context, next) => {
    const startedAt = performance.now()
    await next()
    const seconds = (performance.now() - startedAt) / 1_000
    const { method, routePath } = context.req
    figures.request(`${method} ${routePath}`, context.res.status, seconds)
    log.debug({ method, path: context.req.path, status: context.res.status, seconds }, 'answered')
  })
  app.get('/api/openapi.json', (context) =>
    context.json(document, 200, { 'Access-Control-Allow-Origin': '*' }),
  )
  app.get('/metrics', async (context) => {
    if (!(await operators.operatorOf(context.req.raw))) return context.text('Only for operators.\n', 401)
    return context.text(await figures.text(), 200, { 'Content-Type': figures.type })
  })
  app.get('/health', (context) => {
    const age = now() - snapshot.readAt
    return context.json({ ok: age < 30_000, providers: snapshot.size, age }, age < 30_000 ? 200 : 503)
  })
  app.route('/', createApi({ routes, operators, limit, proxies, log }))

  return {
    fetch: app.fetch,
    serveList: createServeList({ lists: createPreparedLists(snapshot, now), limit, proxies }),
    start: () => async () => {},
    round: async () => {},
  }
}
