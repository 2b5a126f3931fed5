/** The desk's forms. A session counts only for what came from this directory's own pages: see `operatorOf`. */
import type { Context, Hono } from 'hono'
import { invalid, Problem } from '../problem.ts'
import type { MakePage, PageParts } from './createPages.ts'
import { type Decision, type DeskParts, decisions, longestNote } from './DeskParts.ts'
import { deskPage, signInPage } from './pages/desk.ts'
import { readForm } from './readForm.ts'
import { safeHeaders } from './respond.ts'

/** What signing in takes of a caller's budget: guessing shall be slow. */
const signInCost = 20

/** What stands on the desk after a decision, by the address: text in an address could be anybody's. */
const done = Object.fromEntries(decisions.map((action) => [action, `Done: ${action}.`])) as Record<
  Decision['action'],
  string
>

export function deskRoutes(
  app: Hono,
  {
    operators,
    now,
    show,
    fail,
    admit,
  }: {
    operators: DeskParts
    now(): number
    show(page: MakePage, cost?: number): (context: Context) => Promise<Response>
    fail(context: Context, error: unknown): Promise<Response>
    admit: PageParts['admit']
  },
): void {
  /** Runs the work of a form, then shows the desk anew: a reload must not decide again. */
  const act = (work: (context: Context) => Promise<Response>, cost: number) => async (context: Context) => {
    try {
      admit?.(context, cost)
      return await work(context)
    } catch (error) {
      return fail(context, error)
    }
  }

  app.get(
    '/desk',
    show(async ({ req }, query) => {
      const operator = await operators.operatorOf(req.raw)
      if (operator === undefined) return signInPage()
      const action = decisions.find((one) => one === query.get('done'))
      return deskPage(await operators.overview(), operator, now(), action && done[action])
    }),
  )
  app.post(
    '/desk/session',
    act(async (context) => {
      const field = await readForm(context.req.raw)
      try {
        const { cookie } = await operators.signInWithToken(field('token').slice(0, 1_000))
        return seeDesk({ 'Set-Cookie': cookie })
      } catch (error) {
        if (!(error instanceof Problem)) throw error
        return show(() => signInPage(error.message), 0)(context)
      }
    }, signInCost),
  )
  app.post(
    '/desk/session/end',
    act(async ({ req }) => {
      if ((await operators.operatorOf(req.raw)) === undefined) return seeDesk()
      return seeDesk({ 'Set-Cookie': operators.signOutCookie })
    }, 1),
  )
  app.post(
    '/desk/decisions',
    act(async ({ req }) => {
      const operator = await operators.operatorOf(req.raw)
      if (operator === undefined) {
        throw new Problem(401, 'not_operator', 'You are not signed in, or this came from another page.', {
          action: 'Sign in on /desk, and decide there.',
        })
      }
      const field = await readForm(req.raw)
      const action = decisions.find((one) => one === field('action'))
      const id = field('id')
      if (!action || id === '' || id.length > 300)
        throw invalid('That is no decision.', 'Use the forms on /desk.')
      const note = field('note').trim().slice(0, longestNote)
      const seen = /^\d{1,16}$/.test(field('seen')) ? Number(field('seen')) : undefined
      await operators.decide(operator, { action, id, note, seen })
      return seeDesk({}, `?done=${action}`)
    }, 1),
  )
}

function seeDesk(headers: Record<string, string> = {}, query = ''): Response {
  return new Response(null, {
    status: 303,
    headers: { ...safeHeaders, 'Cache-Control': 'no-store', Location: `/desk${query}`, ...headers },
  })
}
