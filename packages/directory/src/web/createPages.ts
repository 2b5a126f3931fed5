/** The pages, as an app to be mounted beside the API. */
import { fileURLToPath } from 'node:url'
import { type Context, Hono } from 'hono'
import { Problem } from '../problem.ts'
import type { Rooms } from '../Rooms.ts'
import { createAssets } from './assets.ts'
import type { DeskParts } from './DeskParts.ts'
import { deskRoutes } from './deskRoutes.ts'
import { createModels } from './Models.ts'
import type { Page } from './Page.ts'
import type { PageData } from './PageData.ts'
import { llmsTxt, robotsTxt, skillMd } from './pages/agentTexts.ts'
import { becomeProviderPage } from './pages/becomeProvider.ts'
import { changePage } from './pages/change.ts'
import { directoryPage } from './pages/directory.ts'
import { apiPage, scorePage } from './pages/docs.ts'
import { joinPage } from './pages/join.ts'
import { modelPage, modelsPage } from './pages/models.ts'
import { newSkillPage } from './pages/newSkill.ts'
import { failedPage, notFoundPage, problemPage } from './pages/problem.ts'
import { providerPage } from './pages/provider.ts'
import { reviewPage } from './pages/review.ts'
import { skillPage, skillsPage } from './pages/skills.ts'
import { readForm } from './readForm.ts'
import { respond, safeHeaders } from './respond.ts'
import type { Site } from './Site.ts'
import { tryPage } from './try/tryPage.ts'

export type PageRooms = Pick<Rooms, 'settings' | 'snapshot' | 'providers' | 'log' | 'now'>

/** What isn't given is shown as empty, or not at all. */
export type PageParts = {
  data?: Partial<PageData> | undefined
  operators?: DeskParts | undefined
  /**
   * Counts a request against its caller's budget; the cost is that of the API's routes.
   *
   * @throws {Problem} 429
   */
  admit?: ((context: Context, cost: number) => void) | undefined
}

/** Makes the page of a request; `undefined` where there is none. @throws {Problem} */
export type MakePage = (
  context: Context,
  query: URLSearchParams,
) => Page | undefined | Promise<Page | undefined>

export function createPages(rooms: PageRooms, { data = {}, operators, admit }: PageParts = {}): Hono {
  const { settings, snapshot, providers, log, now } = rooms
  const { origin } = settings
  const assets = createAssets([fileURLToPath(new URL('./assets/', import.meta.url)), settings.assets])
  const site: Site = { origin, asset: assets.urlOf }
  const models = createModels(snapshot)
  const app = new Hono()

  const show =
    (page: MakePage, cost = 1) =>
    async (context: Context) => {
      const { raw } = context.req
      // As it is written, so that signs that can't be seen stay codes.
      const path = new URL(raw.url).pathname
      try {
        admit?.(context, cost)
        const made = await page(context, new URL(raw.url).searchParams)
        return respond(site, made ?? notFoundPage(path), raw)
      } catch (error) {
        return fail(context, error)
      }
    }
  function fail({ req: { raw } }: Context, error: unknown): Promise<Response> {
    const path = new URL(raw.url).pathname
    if (error instanceof Problem) return respond(site, problemPage(path, error), raw)
    log.error({ err: error, path }, 'a page failed')
    return respond(site, failedPage(path), raw)
  }

  app.get(
    '/',
    show((_, query) => directoryPage(rooms, query)),
  )
  app.get(
    '/models',
    show((_, query) => modelsPage(models, query)),
  )
  app.get(
    '/models/:model{.+}',
    show(({ req }) => modelPage(models, req.param('model') ?? '')),
  )
  app.get(
    '/providers/:id',
    show(async ({ req }) => {
      const id = req.param('id') ?? ''
      const record = snapshot.get(id) ?? (await providers.get(id))
      if (!record) return undefined
      const [history, feedback] = await Promise.all([
        data.history?.(id) ?? { hours: [], changes: [] },
        data.feedback?.(id) ?? [],
      ])
      return providerPage({ record, history, feedback, settings, now: now() })
    }),
  )
  app.get(
    '/providers/:id/review',
    show(async ({ req }) => {
      // Not from memory: its owner looks here right after sending the form, maybe at another instance.
      const record = await providers.get(req.param('id') ?? '')
      return record && reviewPage(record)
    }),
  )
  app.get(
    '/providers/:id/change',
    show(async ({ req }) => {
      const record = await providers.get(req.param('id') ?? '')
      return record && changePage(record, settings)
    }),
  )
  app.get(
    '/become-a-provider',
    show(() => becomeProviderPage(settings)),
  )
  app.get(
    '/skills',
    show(async (_, query) => {
      const filter = { search: query.get('search')?.trim().slice(0, 200) || undefined, limit: 20 }
      const cursor = query.get('cursor')?.slice(0, 400) || undefined
      return skillsPage((await data.skills?.({ ...filter, cursor })) ?? { skills: [], total: 0 }, query)
    }),
  )
  app.get(
    '/skills/new',
    show(() => newSkillPage(origin)),
  )
  app.get(
    '/skills/:id',
    show(async ({ req }, query) => {
      const asked = query.get('protocol')
      const protocol = asked === 'drain' || asked === 'mpp' ? asked : undefined
      const skill = await data.skill?.(req.param('id') ?? '', protocol)
      return skill && skillPage(skill, snapshot.get, protocol)
    }),
  )
  app.get(
    '/try',
    show((_, query) => tryPage(rooms, query)),
  )
  app.get(
    '/join/:code',
    show(async ({ req }) => {
      const code = req.param('code') ?? ''
      return joinPage(code, (await data.invite?.(code)) ?? { state: 'gone' })
    }, 5),
  )
  app.post(
    '/join/:code',
    show(async ({ req }) => {
      const code = req.param('code') ?? ''
      const field = await readForm(req.raw)
      const outcome = await joining(() => data.join?.(code, field('address').trim(), req.raw))
      return outcome && joinPage(code, (await data.invite?.(code)) ?? { state: 'gone' }, outcome)
    }, 30),
  )
  app.get(
    '/docs/score',
    show(() => data.scoreText && scorePage(data.scoreText())),
  )
  app.get(
    '/docs/api',
    show(() => data.openApi && apiPage(data.openApi())),
  )
  if (operators) deskRoutes(app, { operators, now, show, fail, admit })

  const text = (body: string, type: string) => () =>
    new Response(body, {
      headers: {
        ...safeHeaders,
        'Content-Type': `${type}; charset=utf-8`,
        'Cache-Control': 'public, max-age=3600',
        'Access-Control-Allow-Origin': '*',
      },
    })
  app.get('/llms.txt', text(llmsTxt(origin), 'text/plain'))
  app.get('/skill.md', text(skillMd(origin), 'text/markdown'))
  app.get('/robots.txt', text(robotsTxt(origin), 'text/plain'))
  app.get(
    '/favicon.svg',
    ({ req }) => assets.answer('favicon.svg', req.raw) ?? new Response(null, { status: 404 }),
  )
  app.get('/favicon.ico', ({ redirect }) => redirect('/favicon.svg', 301))
  app.get(
    '/assets/:name',
    ({ req }) =>
      assets.answer(req.param('name'), req.raw) ??
      new Response('There is no such file.\n', { status: 404, headers: safeHeaders }),
  )
  app.notFound(show(() => undefined, 0))
  app.onError((error, context) => fail(context, error))
  return app
}

/** What came of an invitation; a refusal is shown on its page. */
async function joining(
  join: () => Promise<string> | undefined,
): Promise<{ said: string; failed: boolean } | undefined> {
  try {
    const said = await join()
    return said === undefined ? undefined : { said, failed: false }
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return { said: [error.message, error.action].filter(Boolean).join(' '), failed: true }
  }
}
