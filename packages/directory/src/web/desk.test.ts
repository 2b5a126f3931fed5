/** The desk by plain forms, with real operators: who gets in, what is decided, and what another site can't do. */
import { createHash } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { aMarket, type Market, origin } from '../../test/aMarket.ts'
import { aMarketsParts, type TestDesk } from '../../test/aMarketsParts.ts'
import { createOperators, signOutCookie } from '../operators/createOperators.ts'
import { openSqlite } from '../store/sqlite.ts'
import { migrate } from '../store/tables.ts'
import { createPages } from './createPages.ts'
import type { Decision } from './DeskParts.ts'

const token = 'a token of more than thirty-two characters'
let market: Market
let desk: TestDesk
let pages: ReturnType<typeof createPages>
const costs: number[] = []

beforeEach(async () => {
  const tokenHash = createHash('sha256').update(token).digest('hex')
  market = await aMarket(undefined, { operators: { addresses: [], tokenHash } })
  const database = await openSqlite(':memory:')
  await migrate(database)
  const { settings, now } = market
  const operators = createOperators({ settings, database, now })
  desk = { ...aMarketsParts(market).operators, ...operators, signOutCookie }
  costs.length = 0
  pages = createPages(market, { operators: desk, admit: (_, cost) => void costs.push(cost) })
})
afterEach(() => market?.close())

const post = (path: string, fields: Record<string, string>, headers: Record<string, string> = {}) =>
  pages.request(path, { method: 'POST', body: new URLSearchParams(fields), headers: { origin, ...headers } })

async function signIn(): Promise<string> {
  const response = await post('/desk/session', { token })
  expect(response.status).toBe(303)
  return (response.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
}

const decision = { action: 'approve', id: 'newcomer', note: 'Welcome.' } satisfies Decision

test('nobody sees the desk without signing in', async () => {
  const text = await (await pages.request('/desk')).text()
  expect(text).toContain('type="password"')
  expect(text).not.toContain('Queue')
})

test('the token opens it, and a wrong one is refused at a price', async () => {
  const wrong = await post('/desk/session', { token: 'wrong' })
  expect(wrong.status).toBe(401)
  expect(wrong.headers.get('set-cookie')).toBeNull()
  expect(costs[0]).toBeGreaterThanOrEqual(10)
  const cookie = await signIn()
  const response = await pages.request('/desk', { headers: { cookie } })
  expect(response.headers.get('cache-control')).toBe('no-store')
  const text = await response.text()
  expect(text).toContain('Queue')
  expect(text).toContain('Newcomer')
  expect(text).not.toContain(token)
})

test('a decision is made once, then the desk is shown anew', async () => {
  const cookie = await signIn()
  const response = await post('/desk/decisions', decision, { cookie })
  expect(response.status).toBe(303)
  expect(response.headers.get('location')).toBe('/desk?done=approve')
  expect(desk.decided).toEqual([{ ...decision, operator: 'token' }])
})

test('another site can’t decide with an operator’s cookie', async () => {
  const cookie = await signIn()
  for (const from of ['https://evil.example', 'null', `${origin}.evil.example`]) {
    expect((await post('/desk/decisions', decision, { cookie, origin: from })).status).toBe(401)
  }
  expect((await pages.request('/desk/decisions', { headers: { cookie } })).status).toBe(404)
  expect(desk.decided).toEqual([])
})

test('nobody decides without a session, with a forged one, or after signing out', async () => {
  const cookie = await signIn()
  for (const forged of ['', 'drain_desk=', `${cookie}x`, 'drain_desk=e30.e30']) {
    expect((await post('/desk/decisions', decision, { cookie: forged })).status).toBe(401)
  }
  expect((await post('/desk/session/end', {}, { cookie })).headers.get('set-cookie')).toContain('Max-Age=0')
  expect(
    (await post('/desk/session/end', {}, { cookie, origin: 'https://evil.example' })).headers.get(
      'set-cookie',
    ),
  ).toBeNull()
  expect(desk.decided).toEqual([])
})

test('only decisions that there are, of forms of bounded size', async () => {
  const cookie = await signIn()
  expect((await post('/desk/decisions', { ...decision, action: 'constructor' }, { cookie })).status).toBe(400)
  expect((await post('/desk/decisions', { ...decision, id: '' }, { cookie })).status).toBe(400)
  expect((await post('/desk/decisions', { ...decision, note: 'x'.repeat(20_000) }, { cookie })).status).toBe(
    413,
  )
  const json = await pages.request('/desk/decisions', {
    method: 'POST',
    body: JSON.stringify(decision),
    headers: { cookie, origin, 'content-type': 'application/json' },
  })
  expect(json.status).toBe(415)
  await post('/desk/decisions', { ...decision, note: ` ${'x'.repeat(600)} ` }, { cookie })
  expect(desk.decided.map(({ note }) => note)).toEqual(['x'.repeat(500)])
})

test('what the desk says was done can’t be written into its address', async () => {
  const cookie = await signIn()
  const text = await (await pages.request('/desk?done=Send%20money', { headers: { cookie } })).text()
  expect(text).not.toContain('Send money')
})
