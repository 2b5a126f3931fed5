/** What is remembered of 402s, and for how long: any server may show any challenge. */
import { expect, test } from 'vitest'
import { type Challenge, serializeChallenge } from '../codec/challenge.ts'
import { createAskedChallenges } from './askedChallenges.ts'

const url = new URL('https://api.example/x')
const one = { realm: 'api.example', method: 'drain', intent: 'session', request: 'e30' }

function showing(...challenges: Partial<Challenge>[]): Response {
  const all = challenges.map((differing) => serializeChallenge({ ...one, id: 'a', ...differing }))
  return new Response(null, { status: 402, headers: { 'WWW-Authenticate': all.join(', ') } })
}

function create(options: { realms?: string[]; now?: () => number } = {}) {
  return createAskedChallenges<string>({ method: 'drain', intent: 'session', now: () => 0, ...options })
}

const missing = expect.objectContaining({ code: 'mpp_fetch_missing' })
const untrusted = expect.objectContaining({ code: 'untrusted_provider' })

test('each answer is to one request, in their order', () => {
  const asked = create()
  for (const name of ['first', 'second']) asked.remember(showing({}), url, name)
  expect([0, 1].map(() => asked.recall({ ...one, id: 'a' }))).toEqual(['first', 'second'])
  expect(() => asked.recall({ ...one, id: 'a' })).toThrow(missing)
})

test('a stranger that shows another server’s challenge stands in nobody’s way', () => {
  const asked = create()
  const stranger = new URL('https://stranger.example/x')
  asked.remember(showing({}), stranger, 'stranger')
  expect(() => asked.recall({ ...one, id: 'a' })).toThrow(untrusted)
  // Under its own name neither.
  asked.remember(showing({ realm: 'stranger.example' }), stranger, 'stranger')
  asked.remember(showing({}), url, 'honest')
  expect(asked.recall({ ...one, id: 'a' })).toBe('honest')
  const named = create({ realms: ['my-app'] })
  named.remember(showing({ realm: 'my-app' }), url, 'named')
  expect(named.recall({ id: 'a', realm: 'my-app' })).toBe('named')
})

test('one request is paid by one of the challenges of its 402', () => {
  const asked = create()
  asked.remember(showing({}, { id: 'b' }), url, 'first')
  asked.remember(showing({ id: 'c' }), url, 'second')
  expect(asked.recall({ ...one, id: 'a' })).toBe('first')
  expect(() => asked.recall({ ...one, id: 'b' })).toThrow(missing)
  expect(asked.recall({ ...one, id: 'c' })).toBe('second')
})

test('what nobody answers is dropped: at its end, beyond a number, and beyond a size', () => {
  let now = 0
  const asked = create({ now: () => now })
  asked.remember(showing({ expires: '1970-01-01T00:01:00Z' }, { id: 'b' }), url, 'early')
  now = 60_000
  expect(() => asked.recall({ ...one, id: 'a' })).toThrow(missing)
  asked.remember(showing({ id: 'c' }), url, 'next')
  expect(asked.recall({ ...one, id: 'b' })).toBe('early')
  for (let index = 0; index < 1_000; index++) asked.remember(showing({ id: `${index}` }), url, 'many')
  expect(() => asked.recall({ ...one, id: 'c' })).toThrow(missing)
  for (let index = 0; index < 20; index++) asked.remember(showing({ id: `l${index}` }), url, 'large', 2 ** 20)
  expect(() => asked.recall({ ...one, id: 'l4' })).toThrow(missing)
  expect(asked.recall({ ...one, id: 'l5' })).toBe('large')
  asked.remember(showing({ id: 'huge' }), url, 'huge', 2 ** 30)
  expect(asked.recall({ ...one, id: 'huge' })).toBe('huge')
})

test('one 402 doesn’t push out all others', () => {
  const asked = create()
  asked.remember(showing({}), url, 'kept')
  asked.remember(showing(...Array.from({ length: 1_000 }, (_, id) => ({ id: `${id}` }))), url, 'flood')
  expect(asked.recall({ ...one, id: 'a' })).toBe('kept')
})
