/** Everything that answers requests, and the work that goes on beside it. */
import type { HttpBindings } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { channelRoutes } from './chain/channelRoutes.ts'
import { feedbackRoutes } from './feedback/feedbackRoutes.ts'
import { createFunds } from './funds/createFunds.ts'
import { fundPageData } from './funds/fundPageData.ts'
import { fundRoutes } from './funds/fundRoutes.ts'
import { healthRoutes } from './health/healthRoutes.ts'
import { assertWithin, createApi } from './http/createApi.ts'
import { createFigures } from './http/Figures.ts'
import { networkOf } from './http/networkOf.ts'
import { openApi } from './http/openApi.ts'
import { createRateLimit } from './http/RateLimit.ts'
import type { Route } from './http/Route.ts'
import { telemetryRoute } from './http/telemetryRoute.ts'
import { listingRoutes } from './listing/listingRoutes.ts'
import { createPreparedLists } from './listing/PreparedLists.ts'
import { createServeList, type ServeList } from './listing/serveList.ts'
import { createDesk } from './operators/createDesk.ts'
import { createOperators, signOutCookie } from './operators/createOperators.ts'
import { operatorRoutes } from './operators/operatorRoutes.ts'
import { pageData } from './pageData.ts'
import type { Rooms } from './Rooms.ts'
import { registrationRoutes } from './register/registrationRoutes.ts'
import { skillRoutes } from './skills/skillRoutes.ts'
import { startWork, type Work } from './startWork.ts'
import { version } from './version.ts'
import { createPages } from './web/createPages.ts'

type App = Hono<{ Bindings: HttpBindings }>

export type Served = { fetch: App['fetch']; serveList: ServeList; startWork(): Work }

export function createApp(rooms: Rooms): Served {
  const { settings, snapshot, database, log, now } = rooms
  const { proxies, origin } = settings
  const limit = createRateLimit(settings.requestsPerMinute, now)
  const operators = createOperators({ settings, database, now })
  const desk = createDesk(rooms)
  const funds = createFunds({ ...rooms, maxGasPrice: settings.funds?.maxGasPrice })
  const figures = createFigures(snapshot)
  const routes: Route[] = [
    ...listingRoutes(rooms),
    ...registrationRoutes(rooms),
    ...healthRoutes(rooms),
    ...channelRoutes(rooms),
    ...feedbackRoutes(rooms),
    ...skillRoutes(rooms),
    ...fundRoutes(rooms, funds),
    telemetryRoute(({ protocol, httpStatus }) => figures.telemetry(protocol, httpStatus)),
    ...operatorRoutes(desk, operators),
  ]
  const document = openApi(routes, { origin, version })
  const pages = createPages(rooms, {
    data: { ...pageData(rooms, document), ...fundPageData(funds) },
    operators: { ...operators, ...desk, signOutCookie },
    admit: (context, cost) => assertWithin(limit, networkOfCaller(context, proxies), cost),
  })

  const app: App = new Hono()
  app.use(async (context, next) => {
    const startedAt = performance.now()
    await next()
    const seconds = (performance.now() - startedAt) / 1_000
    const { method, routePath, path } = context.req
    const { status } = context.res
    figures.request(`${method} ${routePath}`, status, seconds)
    log.debug({ method, path, status, seconds }, 'answered')
  })
  app.get('/api/openapi.json', (context) =>
    context.json(document, 200, { 'Access-Control-Allow-Origin': '*' }),
  )
  app.get('/metrics', async (context) => {
    if (!(await operators.operatorOf(context.req.raw))) return context.text('Only for operators.\n', 401)
    return context.text(await figures.text(), 200, { 'Content-Type': figures.type })
  })
  app.get('/health', (context) => {
    const ageMs = now() - snapshot.readAt
    const ok = ageMs < staleMs
    return context.json({ ok, providers: snapshot.size, ageMs }, ok ? 200 : 503)
  })
  app.route('/', createApi({ routes, operators, limit, proxies, log }))
  app.route('/', pages)

  return {
    fetch: app.fetch,
    serveList: createServeList({ lists: createPreparedLists(snapshot, now), limit, proxies, log }),
    startWork: () => startWork(rooms, funds),
  }
}

/** Milliseconds after which the list in memory is too old to be called healthy. */
const staleMs = 30_000

function networkOfCaller({ req, env }: Context, proxies: number): string {
  const { incoming } = env as Partial<HttpBindings>
  return networkOf(incoming?.socket.remoteAddress, req.header('x-forwarded-for'), proxies)
}
