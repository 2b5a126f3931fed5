import { expect, test } from 'vitest'
import { type ReplayableRequest, replayable } from './ReplayableRequest.ts'

const url = 'https://api.example.com/v1/things?x=1'

/** What is sent on each of two attempts. */
async function sendTwice(request: ReplayableRequest): Promise<Request[]> {
  const { headers } = request
  return [1, 2].map(() => new Request(request.url, request.init({ headers, redirect: 'manual' })))
}

test.each([
  ['string', () => 'text ü'],
  ['bytes', () => new TextEncoder().encode('text ü')],
  ['buffer', () => new TextEncoder().encode('text ü').buffer],
  ['blob', () => new Blob(['text ü'])],
  ['stream', () => new Blob(['text ü']).stream()],
])('a %s body is sent twice', async (_, body) => {
  const init = { method: 'post', body: body(), duplex: 'half', headers: { 'X-Own': '1' } }
  const request = await replayable(url, init as RequestInit)
  expect(request.method).toBe('POST')
  for (const sent of await sendTwice(request)) {
    expect(await sent.text()).toBe('text ü')
    expect(sent.headers.get('x-own')).toBe('1')
    expect(sent.redirect).toBe('manual')
  }
})

test('a form is sent twice with the same bytes: providers keep answers by them', async () => {
  const body = new FormData()
  body.set('file', new Blob(['audio']), 'a.wav')
  const request = await replayable(url, { method: 'POST', body })
  const [first, second] = await Promise.all((await sendTwice(request)).map((sent) => sent.clone().text()))
  expect(second).toBe(first)
  const [sent] = await sendTwice(request)
  const file = (await sent?.formData())?.get('file')
  expect(file instanceof File && [file.name, await file.text()]).toEqual(['a.wav', 'audio'])
})

test('the type that a caller gives its body stays', async () => {
  const body = new Blob(['a'], { type: 'text/plain' }).stream()
  const headers = { 'Content-Type': 'audio/wav' }
  const request = await replayable(url, { method: 'POST', body, headers, duplex: 'half' } as RequestInit)
  expect((await sendTwice(request)).map(({ headers }) => headers.get('content-type'))).toEqual([
    'audio/wav',
    'audio/wav',
  ])
})

test('a Request is sent twice, with what it carries', async () => {
  const controller = new AbortController()
  const original = new Request(url, {
    method: 'PUT',
    body: '{"a":1}',
    headers: { 'Content-Type': 'application/json' },
    redirect: 'error',
    signal: controller.signal,
  })
  const request = await replayable(original, undefined)
  expect(request.redirect).toBe('error')
  expect(request.text()).toBe('{"a":1}')
  for (const sent of await sendTwice(request)) {
    expect(sent.method).toBe('PUT')
    expect(sent.headers.get('content-type')).toBe('application/json')
    expect(await sent.text()).toBe('{"a":1}')
  }
  controller.abort()
  expect(request.signal?.aborted).toBe(true)
})

test('what `init` says wins over the Request', async () => {
  const request = await replayable(new Request(url, { method: 'POST', body: 'old' }), { body: 'new' })
  expect(request.text()).toBe('new')
})

test('URL objects, no body, no init', async () => {
  const request = await replayable(new URL(url), undefined)
  expect([request.url.href, request.method, request.redirect, request.text()]).toEqual([
    url,
    'GET',
    'follow',
    undefined,
  ])
  for (const sent of await sendTwice(request)) expect(sent.body).toBeNull()
})

test('the caller’s headers stay as they are', async () => {
  const headers = new Headers({ Accept: 'text/plain' })
  const request = await replayable(url, { headers })
  request.headers.set('X-Extra', '1')
  expect([...headers.keys()]).toEqual(['accept'])
})

test('options that only some runtimes know pass through', async () => {
  const init = { dispatcher: 'mine' } as RequestInit
  const request = await replayable(url, init)
  expect(request.init({ headers: request.headers, redirect: 'manual' })).toMatchObject({ dispatcher: 'mine' })
})
