/** Every adapter serves the same API in the same way, over real connections. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  type ClientRequest,
  createServer,
  type IncomingMessage,
  request as rawRequest,
  type ServerResponse,
} from 'node:http'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { createGzip, type Gzip } from 'node:zlib'
import { InvalidRequestError, Pricing, Usdc, Headers as Wire } from '@drain/core'
import { memoryLedger, type Paywall, sse } from '@drain/provider'
import * as onExpress from '@drain/provider/express'
import * as onFastify from '@drain/provider/fastify'
import * as onHono from '@drain/provider/hono'
import * as onNode from '@drain/provider/node'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type App, adapters, listening, type Service, serviceOf, startApp, streamQuote } from './apps.ts'
import { type Fixture, startFixture } from './fixture.ts'

const price = Usdc.parse('0.001')
let fixture: Fixture
beforeAll(async () => {
  fixture = await startFixture()
})
afterAll(() => fixture?.close())

describe.each(adapters)('on %s', (name) => {
  let service: Service
  let app: App
  beforeAll(async () => {
    service = serviceOf(
      fixture.paywall({
        name: 'Adapters',
        models: { joke: Pricing.flat('0.001') },
        adminToken: 'secret',
        relay: { nativePrice: '0.25' },
      }),
    )
    app = await startApp(name, service)
  })
  afterAll(() => app?.close())
  const total = (response: Response) => Wire.parseCosts(response.headers)?.total
  const charged = async (channelId: `0x${string}`) => (await service.paywall.ledger.get(channelId))?.charged
  const ask = (path: string, init?: RequestInit) => fetch(`${app.origin}${path}`, init)
  /** With headers exactly as given. */
  const raw = (path: string, headers: string[], method = 'GET') =>
    new Promise<{ request: ClientRequest; response: IncomingMessage }>((resolve, reject) => {
      const all = ['Host', `127.0.0.1:${app.port}`, ...headers]
      const request = rawRequest({ port: app.port, path, method, headers: all, agent: false }, (response) =>
        resolve({ request, response }),
      )
      request.on('error', reject).end()
    })

  test('an unpaid request is told the price, and its own origin', async () => {
    const response = await ask('/joke')
    expect(response.status).toBe(402)
    expect(response.headers.get('X-DRAIN-Required')).toBe('1000')
    expect(response.headers.get('X-Payment-Signing')).toBe(`${app.origin}/v1/signing`)
    expect(response.headers.get('Cache-Control')).toBe('no-store')
    expect(response.headers.get('Content-Type')).toContain('application/json')
    expect((await response.json()).error.code).toBe('voucher_required')
    expect(await (await ask('/free')).text()).toBe('free')
  })

  test('HEAD is asked to pay, without a body; a preflight is not', async () => {
    const head = await ask('/joke', { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([402, ''])
    const headers = { 'Access-Control-Request-Method': 'GET', Origin: 'http://app.test' }
    const preflight = await ask('/joke', { method: 'OPTIONS', headers })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('Access-Control-Allow-Headers')).toContain('X-DRAIN-Voucher')
  })

  test('paid requests are served with their costs', async () => {
    const channel = await fixture.open()
    const joke = await ask('/joke', { headers: await channel.voucher(price) })
    expect(await joke.json()).toEqual({ joke: 'paid' })
    expect(total(joke)).toBe(1_000n)
    expect(joke.headers.get('Access-Control-Expose-Headers')).toContain('X-DRAIN-Cost')
    expect(joke.headers.get('Cache-Control')).toBe('private')

    const cheap = await ask('/cheap', { headers: await channel.voucher(2n * price) })
    expect([cheap.status, await cheap.text(), cheap.headers.get('X-Own')]).toEqual([201, 'cheap', 'kept'])
    expect(total(cheap)).toBe(1_001n)

    const cookies = await ask('/cookies', { headers: await channel.voucher(3n * price) })
    expect(cookies.headers.getSetCookie()).toEqual(['a=1', 'b=2'])
    expect([await cookies.text(), cookies.headers.get('X-Own')]).toEqual(['cookies', 'kept'])
  })

  test.each(['/echo', '/parsed/echo'])('%s: the body reaches the handler', async (path) => {
    const channel = await fixture.open()
    const body = 'x'.repeat(99)
    const headers = {
      ...(await channel.voucher(price)),
      'Content-Type': 'text/plain',
      'Content-Length': '99',
    }
    const echo = await ask(path, { method: 'POST', body, headers })
    expect(await echo.text()).toBe(body)
    expect(total(echo)).toBe(99n)
  })

  test.each([
    ['/fails', 500],
    ['/missing', 404],
  ])('%s is not charged', async (path, status) => {
    const channel = await fixture.open()
    const response = await ask(path, { headers: await channel.voucher(price) })
    expect(response.status).toBe(status)
    expect(await response.text()).not.toContain('secret')
    expect(total(response)).toBe(0n)
    expect(await service.paywall.ledger.get(channel.id)).toMatchObject({ charged: 0n, reserved: 0n })
  })

  test('an answer that cannot be sent ends its connection, and nothing else', async () => {
    if (name === 'Hono') return // a Response that can't be sent can't be made
    const channel = await fixture.open()
    for (const path of ['/unsendable', '/wrong-type']) {
      await expect(ask(path, { headers: await channel.voucher(10n * price) })).rejects.toThrow()
    }
    expect((await ask('/free')).status).toBe(200)
  })

  test('nothing paid leaves when it cannot be charged', async () => {
    const own = serviceOf(fixture.paywall({ ledger: memoryLedger({ log: () => {} }) }))
    const other = await startApp(name, own)
    const channel = await fixture.open()
    own.whileStored = () => own.paywall.ledger.close()
    const response = await fetch(`${other.origin}/store`, { headers: await channel.voucher(price) })
    expect([response.status, response.headers.get('X-DRAIN-Error')]).toEqual([503, 'unavailable'])
    expect(await response.text()).not.toContain('stored')
    await other.close()
  })

  test('50 requests that share a voucher: one is served', async () => {
    const channel = await fixture.open()
    const headers = await channel.voucher(price)
    const responses = await Promise.all(Array.from({ length: 50 }, () => ask('/joke', { headers })))
    expect(responses.filter((response) => response.status === 200)).toHaveLength(1)
  })

  test('more than one payment is refused, however Node would join the headers', async () => {
    const channel = await fixture.open()
    const [[voucherName, voucher]] = Object.entries(await channel.voucher(price)) as [[string, string]]
    for (const headers of [
      [voucherName, voucher, voucherName, voucher],
      [voucherName, voucher, 'X-Payment-Voucher', voucher.replace('"1"', '"2"')],
      [voucherName, voucher, 'Authorization', 'Payment id="x"'],
      // Node keeps the first of these only.
      [voucherName, voucher, 'Authorization', 'Bearer x', 'Authorization', 'Payment id="x"'],
    ]) {
      const { response } = await raw('/joke', headers)
      expect([response.statusCode, response.headers['x-drain-error']]).toEqual([400, 'multiple_payments'])
      response.resume()
    }
    expect(await charged(channel.id)).toBeUndefined()
  })

  test.each(['', '{', '{}', 'null', '[]', '{"channelId":"0x12"}', '\u00e9'])(
    'the voucher %j is malformed',
    async (text) => {
      const { response } = await raw('/joke', ['X-DRAIN-Voucher', text])
      expect([response.statusCode, response.headers['x-drain-error']]).toEqual([
        400,
        'invalid_voucher_format',
      ])
      response.resume()
    },
  )

  test.each([
    ['an upgrade', '/joke', ['Connection', 'Upgrade', 'Upgrade', 'websocket']],
    ['the absolute form', 'http://elsewhere.test/joke', []],
    ['a query', '/joke?a=%C3%A9&b=/../..', []],
  ])('%s is a request like any other', async (_, path, headers) => {
    const { response } = await raw(path, headers as string[])
    expect(response.statusCode).toBe(402)
    response.resume()
  })

  test.each(['/orders', '/parsed/orders'])(
    '%s: a retry under the same key is free and runs nothing',
    async (path) => {
      const channel = await fixture.open()
      const before = service.orders.length
      const send = async (body: string, amount: bigint) =>
        ask(path, {
          method: 'POST',
          body,
          headers: {
            ...(await channel.voucher(amount)),
            'Content-Type': 'application/json',
            'Idempotency-Key': `order-${path}`,
          },
        })
      const body = '{"item":"tea"}'
      const first = await send(body, price)
      const answer = await first.json()
      expect([first.status, answer.body]).toEqual([201, body])
      expect(total(first)).toBe(price)
      const again = await send(body, 2n * price)
      expect([again.status, await again.json()]).toEqual([201, answer])
      expect(again.headers.get('Idempotency-Replayed')).toBe('true')
      expect(total(again)).toBe(price)
      expect((await send('{"item":"milk"}', 3n * price)).status).toBe(422)
      expect(service.orders.length).toBe(before + 1)
      expect(await charged(channel.id)).toBe(price)
    },
  )

  test('a stream is charged as it goes, and ends with a receipt', async () => {
    const channel = await fixture.open()
    const response = await ask('/stream', { headers: await channel.voucher(price) })
    expect(response.headers.get('Content-Type')).toContain('text/event-stream')
    expect(response.headers.get('X-DRAIN-Channel')).toBe(channel.id)
    const text = await response.text()
    expect(text).toContain('data: at 300\n\n')
    expect(JSON.parse(/event: payment-receipt\ndata: (.*)/.exec(text)?.[1] ?? '')).toMatchObject({
      cost: '300',
    })
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
    expect(await charged(channel.id)).toBe(300n)
  })

  test('a stream goes as fast as its client reads, and ends when that leaves', async () => {
    service.pulled = 0
    service.isStopped = false
    const channel = await fixture.open()
    const headers = Object.entries(await channel.voucher(streamQuote)).flat()
    const { request, response } = await raw('/endless', headers)
    response.once('readable', () => response.read(1))
    await expect.poll(() => service.pulled).toBeGreaterThan(1)
    // Time enough for all of it, if nobody waited for the client.
    for (let count = 0; count < 50; count += 1) await ask('/free')
    expect(service.pulled).toBeLessThan(Number(streamQuote))
    request.destroy()
    await expect.poll(() => service.isStopped).toBe(true)
    await expect.poll(async () => (await service.paywall.ledger.get(channel.id))?.reserved).toBe(0n)
    const cost = (await charged(channel.id)) ?? 0n
    expect(cost).toBeGreaterThan(0n)
    expect(cost).toBeLessThanOrEqual(BigInt(service.pulled))
  })

  test('the endpoints are there, also with a body that a parser has read already', async () => {
    expect(await (await ask('/v1/pricing')).json()).toMatchObject({ providerName: 'Adapters' })
    for (const path of ['/v1/models', '/v1/docs', '/v1/signing', '/health']) {
      expect((await ask(path)).status).toBe(200)
    }
    for (const [method, path, status] of [
      ['GET', '/metrics', 401],
      ['GET', '/v1/admin/stats', 401],
      ['POST', '/v1/open', 400],
      ['POST', '/v1/vouchers', 400],
      ['GET', '/v1/channels/0x12', 400],
    ] as const) {
      expect([path, (await ask(path, { method })).status]).toEqual([path, status])
    }
    const channel = await fixture.open()
    const body = JSON.stringify({ channelId: channel.id, ...(await channel.request('close')) })
    const close = (path: string) =>
      ask(path, { method: 'POST', body, headers: { 'Content-Type': 'application/json' } })
    const answer = await (await close('/v1/close-channel')).json()
    expect(answer).toMatchObject({ channelId: channel.id, finalAmount: '0' })
    if (name === 'Express') expect(await (await close('/parsed/v1/close-channel')).json()).toEqual(answer)
  })
})

describe('an answer written in parts, under a key', () => {
  let service: Service
  let app: App
  beforeAll(async () => {
    service = serviceOf(fixture.paywall())
    app = await startApp('node:http', service)
  })
  afterAll(() => app?.close())

  test.each([
    [10_000, 1],
    // Too long to be kept: it is passed on as it comes, and a retry runs anew.
    [1_000_000, 2],
  ])('of %d bytes comes whole; two requests run it %d times', async (size, runs) => {
    const channel = await fixture.open()
    const before = service.orders.length
    for (const amount of [price, 2n * price]) {
      const headers = { ...(await channel.voucher(amount)), 'Idempotency-Key': 'k', 'X-Size': `${size}` }
      const response = await fetch(`${app.origin}/parts`, { headers })
      expect([response.status, (await response.text()).length]).toEqual([200, size])
    }
    expect(service.orders.length).toBe(before + runs)
    expect((await service.paywall.ledger.get(channel.id))?.charged).toBe(BigInt(runs) * price)
  })

  test('events that a handler sends by itself are not held back', async () => {
    const channel = await fixture.open()
    let release = () => {}
    service.whileStored = () =>
      new Promise((resolve) => {
        release = resolve
      })
    const headers = { ...(await channel.voucher(price)), 'Idempotency-Key': 'k' }
    const response = await fetch(`${app.origin}/own-events`, { headers })
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    expect((await reader?.read())?.value).toBe('data: now\n\n')
    release()
    expect((await reader?.read())?.value).toBe('data: later\n\n')
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

describe('a client that leaves', () => {
  let app: App | undefined
  afterEach(() => app?.close())
  /** Sends a request whose client leaves when it is told to. */
  async function visit(port: number, path: string, headers: Record<string, string>) {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    const client = connect(port, '127.0.0.1')
    client.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n${lines.join('')}\r\n`)
    return () => client.destroy()
  }
  function signalled() {
    let give = () => {}
    const given = new Promise<void>((resolve) => {
      give = resolve
    })
    return { give, given }
  }

  test.each(['Express', 'Fastify'] as const)(
    'before it has paid gets no work done on %s, and keeps its credit',
    async (name) => {
      const paywall = fixture.paywall()
      const channel = await fixture.open()
      let runs = 0
      const arrived = signalled()
      if (name === 'Express') {
        const server = express()
        server.get(
          '/x',
          async (_req, res, next) => {
            arrived.give()
            await once(res, 'close')
            next()
          },
          onExpress.paid(paywall, '0.001'),
          () => {
            runs += 1
          },
        )
        app = await listening(createServer(server))
      } else {
        const server = fastify()
        const late = async (_: unknown, reply: { raw: ServerResponse }) => {
          arrived.give()
          await once(reply.raw, 'close')
        }
        server.get('/x', { preHandler: [late, onFastify.paid(paywall, '0.001')] }, (_, reply) => {
          runs += 1
          return reply.send(Readable.from(['never read']))
        })
        await server.ready()
        app = await listening(createServer(server.routing))
      }
      const leave = await visit(app.port, '/x', await channel.voucher(price))
      await arrived.given
      leave()
      const state = () => paywall.ledger.get(channel.id)
      await expect.poll(state).toMatchObject({ nonce: 1n, reserved: 0n, charged: 0n })
      await paywall.close()
      expect(runs).toBe(0)
    },
  )

  test('is charged what its work reports when it is told', async () => {
    const paywall = fixture.paywall()
    const channel = await fixture.open()
    const began = signalled()
    const listener = onNode.paid(paywall, '0.001', async (_, res, payment) => {
      const told = once(payment.signal, 'abort')
      began.give()
      await told
      payment.charge(7n)
      res.end('nobody reads this')
    })
    app = await listening(createServer(listener))
    const leave = await visit(app.port, '/x', await channel.voucher(price))
    await began.given
    leave()
    const state = () => paywall.ledger.get(channel.id)
    await expect.poll(state).toMatchObject({ reserved: 0n, charged: 7n })
  })

  test.each([{}, { 'Idempotency-Key': 'k' }])(
    'or a body that fails midway ends the reservation at once: %o',
    async (key: Record<string, string>) => {
      const paywall = fixture.paywall()
      const channel = await fixture.open()
      const server = fastify()
      server.get('/x', { preHandler: onFastify.paid(paywall, '0.001') }, (_, reply) =>
        reply.send(
          Readable.from(
            (async function* () {
              yield 'first'
              await new Promise(setImmediate)
              throw new Error('secret detail')
            })(),
          ),
        ),
      )
      await server.ready()
      app = await listening(createServer(server.routing))
      const headers = { ...(await channel.voucher(price)), ...key }
      const text = fetch(`${app.origin}/x`, { headers }).then((response) => response.text())
      await expect(text).rejects.toThrow()
      const state = () => paywall.ledger.get(channel.id)
      await expect.poll(state).toMatchObject({ reserved: 0n, charged: 'Idempotency-Key' in key ? 0n : price })
    },
  )
})

describe('a response that others wrap as well', () => {
  /** As the middleware `compression` does it: it keeps the methods that it finds, and writes by them later. */
  const compress: express.RequestHandler = (_req, res, next) => {
    const write = res.write.bind(res) as (chunk: unknown) => boolean
    const end = res.end.bind(res) as () => unknown
    let zip: Gzip | undefined
    const begun = () => {
      if (zip) return zip
      const created = createGzip()
      zip = created
      res.setHeader('Content-Encoding', 'gzip')
      res.removeHeader('Content-Length')
      created.on('data', (chunk) => {
        if (!write(chunk)) created.pause()
      })
      created.on('end', () => void end())
      res.on('drain', () => created.resume())
      return created
    }
    res.write = ((chunk: string) => begun().write(chunk)) as typeof res.write
    res.end = ((chunk?: string | Buffer) => {
      if (chunk) begun().end(chunk)
      else begun().end()
      return res
    }) as typeof res.end
    next()
  }

  test.each(['behind', 'in front of'])('%s the paywall comes whole', async (where) => {
    const paywall = fixture.paywall()
    const server = express()
    const [first, second] =
      where === 'behind'
        ? [onExpress.paid(paywall, '0.001'), compress]
        : [compress, onExpress.paid(paywall, '0.001')]
    const big = randomBytes(1_000_000).toString('hex')
    server.get('/small', first, second, (_, res) => void res.send('hello'))
    server.get('/big', first, second, (_, res) => void res.send(big))
    server.get('/parts', first, second, async (_, res) => {
      res.write(big)
      // The rest is written when the first part is on its way.
      await expect.poll(async () => (await paywall.ledger.get(channel.id))?.reserved).toBe(0n)
      res.write('two')
      res.end('three')
    })
    const app = await listening(createServer(server))
    const channel = await fixture.open()
    const expected = { '/small': 'hello', '/big': big, '/parts': `${big}twothree` }
    for (const [path, text] of Object.entries(expected)) {
      const response = await fetch(`${app.origin}${path}`, { headers: await channel.voucher(10n * price) })
      expect(response.headers.get('X-DRAIN-Cost')).toBe(`${price}`)
      expect((await response.text()) === text).toBe(true)
    }
    await app.close()
  })

  test('and written to after its charge failed ends as a 503, without an error', async () => {
    const paywall = fixture.paywall({ ledger: memoryLedger({ log: () => {} }) })
    const channel = await fixture.open()
    const errors: Error[] = []
    let goOn = () => {}
    const listener = onNode.paid(paywall, '0.001', async (_, res) => {
      res.on('error', (error) => errors.push(error))
      await paywall.ledger.close()
      res.write('valuable')
      await expect.poll(() => res.writableEnded).toBe(true)
      for (const word of ['more', 'and more']) {
        await new Promise<void>((resolve) => res.write(word, () => resolve()))
      }
      res.end('end')
      goOn()
    })
    const app = await listening(
      createServer((req, res) => {
        // Answers on one connection leave in the order of their requests: the second one has no socket before that.
        if (req.url === '/first') goOn = () => res.end('first')
        else listener(req, res)
      }),
    )
    const client = connect(app.port, '127.0.0.1')
    const [[name, voucher]] = Object.entries(await channel.voucher(price)) as [[string, string]]
    client.write(`GET /first HTTP/1.1\r\nHost: a\r\n\r\n`)
    client.write(`GET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${name}: ${voucher}\r\n\r\n`)
    let text = ''
    for await (const chunk of client) text += chunk
    expect(text.match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 503'])
    expect(text).not.toContain('valuable')
    expect(errors).toEqual([])
    await app.close()
  })
})

test('a body that is JSON’s null is a body, on Fastify', async () => {
  const service = serviceOf(fixture.paywall())
  const app = await startApp('Fastify', service)
  const channel = await fixture.open()
  const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': 'null' }
  for (const isReplay of [false, true]) {
    const response = await fetch(`${app.origin}/orders`, {
      ...{ method: 'POST', body: 'null', headers: { ...headers, ...(await channel.voucher(price)) } },
    })
    expect([response.status, response.headers.has('Idempotency-Replayed')]).toEqual([201, isReplay])
  }
  await app.close()
})
