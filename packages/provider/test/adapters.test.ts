/** The same API behind both frameworks, over real connections. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { InvalidRequestError, Pricing, Usdc, Headers as Wire } from '@drain/core'
import { type Paywall, sse } from '@drain/provider'
import * as onExpress from '@drain/provider/express'
import * as onHono from '@drain/provider/hono'
import { serve } from '@hono/node-server'
import express from 'express'
import { Hono } from 'hono'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Fixture, startFixture } from './fixture.ts'

const price = Usdc.parse('0.001')
let fixture: Fixture
beforeAll(async () => {
  fixture = await startFixture()
})
afterAll(() => fixture?.close())

function honoApp(paywall: Paywall): Promise<Server> {
  const app = new Hono()
  app.use(onHono.endpoints(paywall))
  app.get('/free', (c) => c.text('free'))
  app.get('/joke', onHono.paid(paywall, '0.001'), (c) => c.json({ joke: 'paid' }))
  app.get('/cheap', onHono.paid(paywall, '0.001'), (c) => {
    c.get('payment').charge(1n)
    return c.text('cheap', 201, { 'X-Own': 'kept' })
  })
  app.post(
    '/echo',
    onHono.paid(paywall, async (request) => BigInt((await request.clone().text()).length)),
    async (c) => c.text(await c.req.text()),
  )
  app.get('/fails', onHono.paid(paywall, '0.001'), () => {
    throw new Error('secret detail')
  })
  app.get('/missing', onHono.paid(paywall, '0.001'), (c) => c.text('no', 404))
  app.onError((_, c) => c.text('failed', 500))
  return new Promise((resolve) => {
    const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, () =>
      resolve(server as Server),
    )
  })
}

function expressApp(paywall: Paywall): Promise<Server> {
  const app = express()
  // Once in front of the parsers and once behind them: both orders are common.
  app.use(onExpress.endpoints(paywall))
  app.use(express.text(), express.json())
  app.use(
    '/parsed',
    (req, _res, next) => {
      req.originalUrl = req.originalUrl.replace('/parsed', '')
      next()
    },
    onExpress.endpoints(paywall),
  )
  app.get('/free', (_, res) => void res.send('free'))
  app.get('/joke', onExpress.paid(paywall, '0.001'), (_, res) => void res.json({ joke: 'paid' }))
  app.get('/cheap', onExpress.paid(paywall, '0.001'), (_, res) => {
    res.locals.payment.charge(1n)
    res.status(201).set('X-Own', 'kept').write('che')
    res.end('ap')
  })
  app.post(
    '/echo',
    onExpress.paid(paywall, (req) => BigInt(req.body.length)),
    (req, res) => void res.type('text').send(req.body),
  )
  app.get('/fails', onExpress.paid(paywall, '0.001'), () => {
    throw new Error('secret detail')
  })
  app.get(
    '/unsendable',
    onExpress.paid(paywall, '0.001'),
    (_, res) => void res.writeHead(200, { 'X-Bad': 'a\nb' }).end(),
  )
  app.get('/wrong-type', onExpress.paid(paywall, '0.001'), (_, res) => void res.write(123 as never))
  app.get('/missing', onExpress.paid(paywall, '0.001'), (_, res) => void res.writeHead(404).end('no'))
  app.use(((_error, _req, res, _next) => void res.status(500).send('failed')) as express.ErrorRequestHandler)
  return new Promise((resolve) => {
    const server: Server = createServer(app).listen(0, '127.0.0.1', () => resolve(server))
  })
}

describe.each([
  ['Hono', honoApp],
  ['Express', expressApp],
])('on %s', (name, start) => {
  let origin: string
  let server: Server
  beforeAll(async () => {
    server = await start(fixture.paywall({ name: 'Adapters', models: { joke: Pricing.flat('0.001') } }))
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterAll(() => new Promise((resolve) => server.close(resolve)))
  const total = (response: Response) => Wire.parseCosts(response.headers)?.total

  test('an unpaid request is told the price, and its own origin', async () => {
    const response = await fetch(`${origin}/joke`)
    expect(response.status).toBe(402)
    expect(response.headers.get('X-DRAIN-Required')).toBe('1000')
    expect(response.headers.get('X-Payment-Signing')).toBe(`${origin}/v1/signing`)
    expect((await fetch(`${origin}/free`)).status).toBe(200)
  })

  test('paid requests are served with their costs', async () => {
    const channel = await fixture.open()
    const joke = await fetch(`${origin}/joke`, { headers: await channel.voucher(price) })
    expect(await joke.json()).toEqual({ joke: 'paid' })
    expect(total(joke)).toBe(1_000n)
    expect(joke.headers.get('Access-Control-Expose-Headers')).toContain('X-DRAIN-Cost')

    const cheap = await fetch(`${origin}/cheap`, { headers: await channel.voucher(2n * price) })
    expect([cheap.status, await cheap.text(), cheap.headers.get('X-Own')]).toEqual([201, 'cheap', 'kept'])
    expect(total(cheap)).toBe(1_001n)

    const headers = { ...(await channel.voucher(2n * price)), 'Content-Type': 'text/plain' }
    const echo = await fetch(`${origin}/echo`, { method: 'POST', body: 'x'.repeat(99), headers })
    expect(await echo.text()).toBe('x'.repeat(99))
    expect(total(echo)).toBe(1_100n)
  })

  test.each([
    ['/fails', 500],
    ['/missing', 404],
  ])('%s is not charged', async (path, status) => {
    const channel = await fixture.open()
    const response = await fetch(`${origin}${path}`, { headers: await channel.voucher(price) })
    expect(response.status).toBe(status)
    expect(await response.text()).not.toContain('secret')
    expect(total(response)).toBe(0n)
  })

  test('an answer that cannot be sent ends its connection, and nothing else', async () => {
    if (name !== 'Express') return
    const channel = await fixture.open()
    for (const path of ['/unsendable', '/wrong-type']) {
      await expect(
        fetch(`${origin}${path}`, { headers: await channel.voucher(10n * price) }),
      ).rejects.toThrow()
    }
    expect((await fetch(`${origin}/free`)).status).toBe(200)
  })

  test('50 requests that share a voucher: one is served', async () => {
    const channel = await fixture.open()
    const headers = await channel.voucher(price)
    const responses = await Promise.all(
      Array.from({ length: 50 }, () => fetch(`${origin}/joke`, { headers })),
    )
    expect(responses.filter((response) => response.status === 200)).toHaveLength(1)
  })

  test('a repeated voucher header is refused', async () => {
    const channel = await fixture.open()
    const [[name, value]] = Object.entries(await channel.voucher(price)) as [[string, string]]
    const headers = new Headers([
      [name, value],
      [name, value],
    ])
    const response = await fetch(`${origin}/joke`, { headers })
    expect([response.status, response.headers.get('X-DRAIN-Error')]).toEqual([400, 'multiple_payments'])
  })

  test('the endpoints are there, with a body that a parser has read already', async () => {
    expect(await (await fetch(`${origin}/v1/pricing`)).json()).toMatchObject({ providerName: 'Adapters' })
    const channel = await fixture.open()
    const body = JSON.stringify({ channelId: channel.id, ...(await channel.request('close')) })
    const closing = await fetch(`${origin}/v1/close-channel`, {
      method: 'POST',
      body,
      headers: { 'Content-Type': 'application/json' },
    })
    const answer = await closing.json()
    expect(answer).toMatchObject({ channelId: channel.id, finalAmount: '0' })
    if (name === 'Express') {
      const headers = { 'Content-Type': 'application/json' }
      const again = await fetch(`${origin}/parsed/v1/close-channel`, { method: 'POST', body, headers })
      expect(await again.json()).toEqual(answer)
    }
    const preflight = await fetch(`${origin}/joke`, {
      method: 'OPTIONS',
      headers: { 'Access-Control-Request-Method': 'GET', Origin: 'http://app.test' },
    })
    expect(preflight.status).toBe(204)
  })
})

describe('a metered stream', () => {
  const chunks = (count: number, each = 100n) =>
    async function* () {
      for (let index = 1; index <= count; index += 1)
        yield { data: JSON.stringify({ index }), cost: BigInt(index) * each }
    }
  const stream = async (
    paywall: Paywall,
    headers: Record<string, string>,
    events: () => AsyncIterable<{ data: string; cost: bigint }>,
  ) => paywall.handle(new Request('http://p.test/s', { headers }), price, (payment) => sse(payment, events()))

  test('charges what was sent, and ends with a receipt', async () => {
    const paywall = fixture.paywall()
    const channel = await fixture.open()
    const response = await stream(paywall, await channel.voucher(price), chunks(3))
    expect(response.headers.get('Content-Type')).toContain('text/event-stream')
    const text = await response.text()
    expect(text.split('\n\n').filter((block) => block.startsWith('data: {"index"'))).toHaveLength(3)
    const receipt = JSON.parse(/event: payment-receipt\ndata: (.*)/.exec(text)?.[1] ?? '')
    expect(receipt).toMatchObject({ channelId: channel.id, cost: '300', total: '300', remaining: '999700' })
    expect(text).toContain(': X-DRAIN-Cost: 300\n')
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
  })

  test('stops at what the voucher covers, however long the upstream goes on', async () => {
    const paywall = fixture.paywall()
    const channel = await fixture.open()
    const text = await (await stream(paywall, await channel.voucher(price), chunks(3_000))).text()
    expect(text).toContain('"index":10}')
    expect(text).not.toContain('"index":11}')
    expect((await paywall.ledger.get(channel.id))?.charged).toBe(price)
  })

  test('charges a client that goes away for what was sent, and stops the upstream', async () => {
    const paywall = fixture.paywall()
    const channel = await fixture.open()
    let stopped = false
    async function* endless() {
      try {
        yield* chunks(1_000, 1n)()
      } finally {
        stopped = true
      }
    }
    const response = await stream(paywall, await channel.voucher(price), endless)
    const reader = response.body?.getReader()
    await reader?.read()
    await reader?.cancel()
    const state = await paywall.ledger.get(channel.id)
    expect(stopped).toBe(true)
    expect(state?.reserved).toBe(0n)
    expect(state?.charged).toBeGreaterThan(0n)
    expect(state?.charged).toBeLessThan(5n)
  })

  test('an upstream that fails midway is charged for what was sent, and its words stay inside', async () => {
    const paywall = fixture.paywall()
    const channel = await fixture.open()
    async function* failing() {
      yield* chunks(2)()
      throw new Error('secret detail')
    }
    const text = await (await stream(paywall, await channel.voucher(price), failing)).text()
    expect(text).not.toContain('secret')
    expect(text).toContain('upstream_failed')
    expect((await paywall.ledger.get(channel.id))?.charged).toBe(200n)
  })

  test('is settled even when its client has stopped reading', async () => {
    const paywall = fixture.paywall()
    const channel = await fixture.open()
    const response = await stream(paywall, await channel.voucher(price), chunks(1_000, 1n))
    const reader = response.body?.getReader()
    await reader?.read()
    const request = new Request('http://p.test/v1/close-channel', {
      method: 'POST',
      body: JSON.stringify({ channelId: channel.id, ...(await channel.request('close')) }),
    })
    const closing = await (await paywall.endpoints(request))?.json()
    expect(closing.finalAmount).toMatch(/^[1-4]$/)
  })

  test('a price function that finds the request malformed answers 400', async () => {
    const app = new Hono()
    const price = () => {
      throw new InvalidRequestError('No such model.')
    }
    app.get('/', onHono.paid(fixture.paywall(), price), (c) => c.text('x'))
    expect((await app.request('/')).status).toBe(400)
  })

  test('ends when the channel is closed under it', async () => {
    const paywall = fixture.paywall()
    const channel = await fixture.open()
    async function* stuck() {
      yield* chunks(2)()
      await new Promise(() => {})
    }
    const response = await stream(paywall, await channel.voucher(price), stuck)
    const text = response.text()
    while ((await paywall.ledger.get(channel.id))?.reserved !== price) await new Promise(setImmediate)
    const request = new Request('http://p.test/v1/close-channel', {
      method: 'POST',
      body: JSON.stringify({ channelId: channel.id, ...(await channel.request('close')) }),
    })
    const closing = await (await paywall.endpoints(request))?.json()
    expect(await text).toContain('payment-receipt')
    expect(closing.finalAmount).toBe((await paywall.ledger.get(channel.id))?.charged.toString())
  })
})
