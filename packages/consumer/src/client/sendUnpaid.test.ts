import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { serve } from '../../test/serve.ts'
import { replayable } from './ReplayableRequest.ts'
import { sendUnpaid } from './sendUnpaid.ts'

type Server = Awaited<ReturnType<typeof serve>>

let server: Server
let other: Server
/** What arrived: where, how, and with what. */
let seen: string[]
beforeEach(async () => {
  seen = []
  const handler = async (request: Request) => {
    const { pathname, searchParams } = new URL(request.url)
    const { headers } = request
    const carried = ['authorization', 'content-type', 'x-own'].filter((name) => headers.has(name))
    seen.push(`${request.method} ${pathname} ${await request.text()} [${carried}]`)
    const status = Number(pathname.slice(1))
    if (!status) return new Response('here')
    return new Response(null, { status, headers: { Location: searchParams.get('to') ?? '/end' } })
  }
  server = await serve(handler)
  other = await serve(handler)
})
afterEach(async () => {
  vi.unstubAllGlobals()
  await Promise.all([server.close(), other.close()])
})

async function send(path: string, method: string) {
  const headers = { 'Content-Type': 'text/plain', Authorization: 'Bearer secret', 'X-Own': '1' }
  const body = method === 'GET' ? undefined : 'order'
  return sendUnpaid(
    fetch,
    await replayable(`${server.origin}${path}`, { method, headers, body: body ?? null }),
  )
}

test.each(
  [301, 302, 303, 307, 308].flatMap((status) =>
    ['GET', 'POST', 'PUT'].map((method) => [status, method] as const),
  ),
)('a %i of a %s is followed as fetch follows it, and told', async (status, method) => {
  const { response, last } = await send(`/${status}`, method)
  expect(await response.text()).toBe('here')
  const [, byUs] = seen.splice(0)
  const headers = { 'Content-Type': 'text/plain', Authorization: 'Bearer secret', 'X-Own': '1' }
  await fetch(`${server.origin}/${status}`, { method, headers, body: method === 'GET' ? null : 'order' })
  expect(byUs).toBe(seen[1])
  expect([response.redirected, response.url]).toEqual([true, `${server.origin}/end`])
  // The same once more is what a payment goes with.
  if (method !== 'GET') {
    await fetch(last.url, last.init(last))
    expect(seen[2]).toBe(byUs)
  }
})

test('another origin gets no credentials', async () => {
  await send(`/307?to=${other.origin}/end`, 'POST')
  expect(seen[1]).toBe('POST /end order [content-type,x-own]')
})

test('redirects without end, and to nowhere, are errors', async () => {
  // An empty location is where it is already.
  await expect(send('/307?to=', 'POST')).rejects.toThrow(/redirects without end/)
  expect(seen).toHaveLength(21)
  await expect(send('/307?to=data:,x', 'POST')).rejects.toThrow(TypeError)
})

test('where redirects can’t be seen, fetch follows them', async () => {
  vi.stubGlobal('document', {})
  const { response, last } = await send('/303', 'POST')
  expect([response.redirected, last.method]).toEqual([true, 'POST'])
})
