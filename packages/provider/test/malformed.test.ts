/** No request of any shape stops the provider. */
import { connect } from 'node:net'
import { Pricing } from '@drain/core'
import type { Paywall } from '@drain/provider'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type App, adapters, serviceOf, startApp } from './apps.ts'
import { type Fixture, type OpenChannel, startFixture } from './fixture.ts'

let fixture: Fixture
let paywall: Paywall
let channel: OpenChannel
beforeAll(async () => {
  fixture = await startFixture()
  paywall = fixture.paywall({ models: { joke: Pricing.flat('0.001') }, adminToken: 'secret' })
  channel = await fixture.open()
})
afterAll(() => fixture?.close())

const paths = [
  '/joke',
  '/v1/vouchers',
  '/v1/close-channel',
  '/v1/pricing',
  '/v1/channels/0x12',
  '/v1/admin/claim',
  '/v1/docs',
  '/health',
  '/%ff',
  '//',
  '/__proto__',
]
const methods = ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH']

/** Text that a header may carry, with what tends to break parsers. */
const text = fc.oneof(
  fc.string(),
  fc.json(),
  fc.constantFrom(
    '',
    '{',
    '[]',
    'null',
    '"',
    '{}',
    'undefined',
    '__proto__',
    'constructor',
    '0x',
    '-1',
    '1e999',
    `0x${'f'.repeat(64)}`,
    '\u0000',
    '\ud800',
    'Payment x',
  ),
)
const bytes = text.map((value) =>
  [...value].filter((char) => char >= ' ' && char <= 'ÿ' && char !== '\u007f').join(''),
)

/** Vouchers that are nearly right. */
const field = fc.oneof(
  fc.string(),
  fc.integer(),
  fc.constant(null),
  fc.constantFrom(
    '0',
    '1',
    '01',
    '1.5',
    '-1',
    '1e3',
    (2n ** 300n).toString(),
    '0x12',
    `0x${'ab'.repeat(32)}`,
    `0x${'12'.repeat(65)}`,
    [],
  ),
)
const nearVoucher = fc
  .record(
    { channelId: field, amount: field, nonce: field, signature: field, extra: field },
    { requiredKeys: [] },
  )
  .map((value) => JSON.stringify(value))
const header = fc
  .oneof(nearVoucher, bytes)
  .map((value) => [...value].filter((char) => char >= ' ' && char <= '~').join(''))

const request = fc.record({
  path: fc.constantFrom(...paths),
  method: fc.constantFrom(...methods),
  headers: fc.dictionary(
    fc.constantFrom(
      'X-DRAIN-Voucher',
      'X-Payment-Voucher',
      'X-DRAIN-Request',
      'Authorization',
      'Idempotency-Key',
      'Content-Type',
      'Origin',
      'Access-Control-Request-Method',
    ),
    header,
  ),
  body: fc.oneof(
    text,
    nearVoucher,
    fc.json().map((json) => `{"channelId":"0x${'ab'.repeat(32)}","deadline":${json}}`),
  ),
})

describe.each(adapters)('on %s', (adapter) => {
  let app: App
  let port: number
  beforeAll(async () => {
    app = await startApp(adapter, serviceOf(paywall))
    port = app.port
  })
  afterAll(() => app?.close())

  const isAlive = async () => {
    const response = await fetch(`http://127.0.0.1:${port}/health`)
    return response.status === 200
  }

  test('2,500 malformed requests are each answered, none is served, none makes an error of its own', async () => {
    let statuses = new Map<number, number>()
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 50, maxLength: 50 }), async (requests) => {
        const responses = await Promise.all(
          requests.map(({ path, method, headers, body }) =>
            fetch(`http://127.0.0.1:${port}${path}`, {
              method,
              headers,
              ...(method === 'GET' || method === 'HEAD' ? {} : { body }),
            }),
          ),
        )
        for (const response of responses) {
          statuses = statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1)
          expect(response.status).toBeGreaterThanOrEqual(200)
          expect(response.status).not.toBe(500)
          expect(await response.text()).not.toContain('paid"')
        }
      }),
      { numRuns: 50, endOnFailure: true },
    )
    expect([...statuses.values()].reduce((sum, count) => sum + count)).toBe(2_500)
    expect(await isAlive()).toBe(true)
  })

  test('500 connections that speak no HTTP do not stop it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.string().map((name) => `GET /joke HTTP/1.1\r\nHost: ${name}\r\n\r\n`),
          fc
            .string()
            .map(
              (value) =>
                `GET /joke HTTP/1.1\r\nHost: a\r\nX-DRAIN-Voucher: ${value}\r\nX-DRAIN-Voucher: ${value}\r\n\r\n`,
            ),
          fc.constantFrom(
            'GET http://[:::1]/ HTTP/1.1\r\nHost: [\r\n\r\n',
            'TRACE /joke HTTP/1.1\r\nHost: a\r\n\r\n',
            'GET joke HTTP/1.1\r\n\r\n',
            'GET * HTTP/1.1\r\nHost: a b\r\n\r\n',
            'POST /v1/vouchers HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n{',
            'POST /v1/close-channel HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n',
            `GET /joke HTTP/1.1\r\nHost: a\r\nX-DRAIN-Voucher: ${'9'.repeat(20_000)}\r\n\r\n`,
            'CONNECT /joke HTTP/1.1\r\nHost: a\r\n\r\n',
          ),
        ),
        (raw) =>
          new Promise<void>((resolve) => {
            const socket = connect(port, '127.0.0.1', () => socket.end(raw, 'latin1'))
            socket.on('error', () => resolve())
            socket.on('close', () => resolve())
            socket.resume()
          }),
      ),
      { numRuns: 500 },
    )
    expect(await isAlive()).toBe(true)
  })

  test('an honest request is served afterwards', async () => {
    const { deposit } = channel
    const charged = (await paywall.ledger.get(channel.id))?.charged ?? 0n
    expect(charged).toBeLessThan(deposit)
    const response = await fetch(`http://127.0.0.1:${port}/joke`, {
      headers: await channel.voucher(charged + 1_000n),
    })
    expect([response.status, await response.json()]).toEqual([200, { joke: 'paid' }])
  })
})
