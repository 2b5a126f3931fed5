/** What a provider tells those who look for services. */
import { Pricing } from '@drain/core'
import type { Paywall, Scheme } from '@drain/provider'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { adapters, serviceOf, startApp } from './apps.ts'
import { type Fixture, startFixture } from './fixture.ts'

let fixture: Fixture
beforeAll(async () => {
  fixture = await startFixture()
})
afterAll(() => fixture?.close())

const get = (paywall: Paywall, path: string, method = 'GET') =>
  paywall.endpoints(new Request(`https://provider.test${path}`, { method }))

/** Can be paid by from a price on. */
const scheme = (name: string, least: bigint): Scheme => ({
  name,
  offer: ({ quote }) => (quote.most < least ? undefined : `Payment method="${name}"`),
  read: () => undefined,
})

const schemes = [() => scheme('drain/session', 0n), () => scheme('evm/charge', 1_000n)]
const requestBody = { content: { 'application/json': { example: { topic: 'channels' } } } }

test('routes with their prices, offers and bodies', async () => {
  const paywall = fixture.paywall({
    name: 'Jokes',
    schemes,
    routes: [
      { method: 'GET', path: '/joke', summary: 'A joke', price: '0.001' },
      { method: 'GET', path: '/pun', price: '0.0005' },
      { method: 'POST', path: '/joke', requestBody },
      { method: 'GET', path: '/free', price: '0' },
    ],
  })
  const response = await get(paywall, '/openapi.json')
  expect(response?.headers.get('Content-Type')).toBe('application/json')
  expect(response?.headers.get('Cache-Control')).toBe('public, max-age=300')
  expect(response?.headers.get('Access-Control-Allow-Origin')).toBe('*')
  const { token: currency } = fixture.chain.deployment
  const offer = (name: string, amount: string | null, description: string) => {
    const [method, intent] = name.split('/')
    return { method, intent, amount, currency, description }
  }
  const document = await response?.json()
  expect(document).toMatchObject({
    openapi: '3.1.0',
    info: { title: 'Jokes' },
    'x-service-info': { docs: { llms: '/llms.txt' } },
    paths: {
      '/joke': {
        get: {
          summary: 'A joke',
          responses: { '402': {} },
          'x-payment-info': {
            offers: [
              offer('drain/session', '1000', '0.001000 USDC per request'),
              offer('evm/charge', '1000', '0.001000 USDC per request'),
            ],
          },
        },
        post: {
          requestBody,
          'x-payment-info': {
            offers: [
              offer('drain/session', null, 'The price depends on the request'),
              offer('evm/charge', null, 'The price depends on the request'),
            ],
          },
        },
      },
      '/pun': {
        get: { 'x-payment-info': { offers: [offer('drain/session', '500', expect.any(String))] } },
      },
    },
  })
  expect(document.paths['/free'].get).toEqual({ responses: { '200': expect.anything() } })
  const llms = await (await get(paywall, '/llms.txt'))?.text()
  expect(llms).toContain('# Jokes\n')
  expect(llms).toContain('- `GET /joke`: A joke. 0.001000 USDC per request\n')
  expect(llms).toContain('- `GET /free`: Free\n')
})

test('the chat route of the models, where no routes are named', async () => {
  const models = { small: Pricing.perToken({ inputPer1k: '0.01', outputPer1k: '0.1' }) }
  const paywall = fixture.paywall({ models })
  const { paths } = (await (await get(paywall, '/openapi.json'))?.json()) ?? {}
  expect(Object.keys(paths)).toEqual(['/v1/chat/completions'])
  const { post } = paths['/v1/chat/completions']
  expect(post.requestBody.content['application/json'].example.model).toBe('small')
  // Without a scheme there is nothing that MPP could pay.
  expect(post).not.toHaveProperty('x-payment-info')
  expect(post.responses).toHaveProperty('402')
})

test('nothing where there is nothing to tell, or the application tells it', async () => {
  const models = { small: Pricing.flat('0.01') }
  for (const options of [{}, { models, routes: [] }]) {
    const paywall = fixture.paywall(options)
    expect(await get(paywall, '/openapi.json')).toBeUndefined()
    expect(await get(paywall, '/llms.txt')).toBeUndefined()
  }
  expect(() => fixture.paywall({ routes: [{ method: 'GET', path: '/', price: 'much' }] })).toThrow()
})

describe.each(adapters)('on %s', (adapter) => {
  test('both documents are there', async () => {
    const routes = [{ method: 'GET', path: '/joke', price: '0.001' }] as const
    const app = await startApp(adapter, serviceOf(fixture.paywall({ routes, schemes })))
    try {
      const response = await fetch(`${app.origin}/openapi.json`)
      expect(await response.json()).toMatchObject({ paths: { '/joke': { get: {} } } })
      expect(await (await fetch(`${app.origin}/llms.txt`)).text()).toContain('GET /joke')
    } finally {
      await app.close()
    }
  })
})
