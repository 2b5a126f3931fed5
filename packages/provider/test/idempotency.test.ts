import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { Headers as Wire } from '@drain/core'
import { type Ledger, memoryLedger, type Paywall, type RequestOptions, sse } from '@drain/provider'
import { sqliteLedger } from '@drain/provider/sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodeAnswer } from '../src/http/Answer.ts'
import { bodyOf } from '../src/http/nodeRequest.ts'
import { Payment } from '../src/http/Payment.ts'
import { createRunningPayments } from '../src/http/RunningPayments.ts'
import { aChannel, aVoucher, identity } from '../src/ledger/fixtures.ts'
import { defaultStreamSettings } from '../src/stream/StreamSettings.ts'
import { createWaitingLines } from '../src/stream/WaitingLines.ts'
import { type App, listening } from './apps.ts'
import { type Fixture, type OpenChannel, startFixture } from './fixture.ts'
import { createUpstream, events, readEvents } from './streamTools.ts'

let fixture: Fixture
let paywall: Paywall
beforeAll(async () => {
  fixture = await startFixture()
  paywall = fixture.paywall()
})
afterAll(() => fixture?.close())

const price = 1_000n

type Work = () => Response | Promise<Response>
type Sent = {
  key?: string | undefined
  body?: string | Uint8Array<ArrayBuffer>
  path?: string
  method?: string
  at?: Paywall
  options?: RequestOptions
}

/** Sends a request with its voucher, and counts how often its work is done. */
let runs = 0
async function send(headers: Record<string, string>, work: Work, sent: Sent = {}): Promise<Response> {
  const { key = 'a key', body = 'question', path = '/ask', method = 'POST', at = paywall } = sent
  const request = new Request(`http://p.test${path}`, {
    method,
    headers: { ...headers, ...(key === undefined ? {} : { 'Idempotency-Key': key }) },
    ...(method === 'GET' ? {} : { body }),
  })
  const run = () => {
    runs += 1
    return work()
  }
  return at.handle(request, price, run, sent.options)
}

async function ran(action: () => Promise<unknown>): Promise<number> {
  const before = runs
  await action()
  return runs - before
}

const answer: Work = () =>
  new Response('answer', {
    status: 201,
    headers: { 'Content-Type': 'text/plain', 'X-Own': 'kept', 'Set-Cookie': 'a=b', 'X-DRAIN-Total': '7' },
  })
const code = (response: Response) => response.headers.get('X-DRAIN-Error')
const isReplayed = (response: Response) => response.headers.get('Idempotency-Replayed') === 'true'
const charged = async (channel: OpenChannel, at = paywall) => (await at.ledger.get(channel.id))?.charged

describe('a lost answer', () => {
  test('is given again for nothing, and the work is not done again', async () => {
    const channel = await fixture.open()
    const voucher = await channel.voucher(price)
    const first = await send(voucher, answer)
    expect([first.status, Wire.parseCosts(first.headers)?.cost, isReplayed(first)]).toEqual([
      201,
      price,
      false,
    ])
    // By the same voucher, whose nonce is burned, and by a new one.
    for (const headers of [voucher, await channel.voucher(price)]) {
      const count = await ran(async () => {
        const again = await send(headers, answer)
        expect([again.status, await again.text(), isReplayed(again)]).toEqual([201, 'answer', true])
        expect(Wire.parseCosts(again.headers)).toEqual({
          ...{ channelId: channel.id, cost: 0n, total: price, remaining: channel.deposit - price },
        })
        expect(again.headers.get('X-Own')).toBe('kept')
        expect(again.headers.get('Content-Type')).toBe('text/plain')
        expect(again.headers.get('Set-Cookie')).toBeNull()
        expect(again.headers.get('Access-Control-Expose-Headers')).toContain('Idempotency-Replayed')
      })
      expect(count).toBe(0)
    }
    // Nothing was burned by that: the second voucher's nonce is still good, and the totals are those of now.
    expect(
      (await send(await channel.voucher(2n * price, { nonce: 2n }), answer, { key: 'other' })).status,
    ).toBe(201)
    expect(Wire.parseCosts((await send(voucher, answer)).headers)).toMatchObject({
      cost: 0n,
      total: 2n * price,
    })
    expect(await charged(channel)).toBe(2n * price)
  })

  test('is still there after a restart', async () => {
    const ledger = sqliteLedger(`${fixture.folder}/restarted.db`)
    const channel = await fixture.open()
    const voucher = await channel.voucher(price)
    const before = fixture.paywall({ ledger })
    expect((await send(voucher, answer, { at: before })).status).toBe(201)
    await before.close()
    const after = fixture.paywall({ ledger })
    const again = await send(voucher, answer, { at: after })
    expect([await again.text(), isReplayed(again)]).toEqual(['answer', true])
    expect(await charged(channel, after)).toBe(price)
  })

  test('is still given while the channel closes', async () => {
    const channel = await fixture.open()
    const voucher = await channel.voucher(price)
    await send(voucher, answer)
    const closing = { channelId: channel.id, ...(await channel.request('close')) }
    const request = new Request('http://p.test/v1/close-channel', {
      method: 'POST',
      body: JSON.stringify(closing),
    })
    expect(await (await paywall.endpoints(request))?.json()).toMatchObject({ finalAmount: `${price}` })
    expect(isReplayed(await send(voucher, answer))).toBe(true)
    expect(code(await send(await channel.voucher(2n * price), answer, { key: 'new' }))).toBe(
      'channel_closing',
    )
  })

  test('of any bytes and of none comes as it was', async () => {
    const channel = await fixture.open()
    const bytes = Uint8Array.from({ length: 1_000 }, (_, index) => index % 256)
    const voucher = await channel.voucher(3n * price)
    await send(voucher, () => new Response(bytes), { key: 'bytes' })
    const again = await send(voucher, answer, { key: 'bytes' })
    expect(new Uint8Array(await again.arrayBuffer())).toEqual(bytes)
    const next = await channel.voucher(3n * price)
    await send(next, () => new Response(null, { status: 204 }), { key: 'none' })
    expect((await send(next, answer, { key: 'none' })).status).toBe(204)
  })

  test('is given to nobody but the consumer of its channel', async () => {
    const [channel, other] = [await fixture.open(), await fixture.open({ from: fixture.stranger })]
    await send(await channel.voucher(price), answer)
    // Somebody who knows the key pays with a channel of their own: it is another request.
    const own = await send(await other.voucher(price), () => new Response('another answer'))
    expect([await own.text(), isReplayed(own)]).toEqual(['another answer', false])
    const forged = await send(await channel.voucher(price, { signer: fixture.stranger }), answer)
    expect(code(forged)).toBe('invalid_signature')
    expect(await ran(() => send({}, answer))).toBe(0)
  })
})

describe('a key', () => {
  test('belongs to one body and query', async () => {
    const channel = await fixture.open()
    const voucher = await channel.voucher(3n * price)
    await send(voucher, answer, { path: '/ask?a=1' })
    for (const other of [{ path: '/ask?a=1', body: 'another' }, { path: '/ask?a=2' }, { path: '/ask' }]) {
      const count = await ran(async () => {
        const response = await send(await channel.voucher(3n * price), answer, other)
        expect([response.status, code(response)]).toEqual([422, 'idempotency_mismatch'])
      })
      expect(count).toBe(0)
    }
    expect(isReplayed(await send(voucher, answer, { path: '/ask?a=1' }))).toBe(true)
  })

  test('is another one on another path, and with another method', async () => {
    const channel = await fixture.open()
    const each: Sent[] = [{ path: '/ask' }, { path: '/other' }, { method: 'PUT' }, { method: 'GET' }]
    for (const [index, request] of each.entries()) {
      const response = await send(await channel.voucher(BigInt(index + 1) * price), answer, request)
      expect([response.status, isReplayed(response)]).toEqual([201, false])
    }
    expect(await charged(channel)).toBe(4n * price)
  })

  test.each([
    ['that is empty', ''],
    ['that is too long', 'x'.repeat(256)],
    ['that was sent twice', 'one, two'],
    ['that is no ASCII', 'schl\u00fcssel'],
    ['with a tab in it', 'a\tb'],
  ])('%s is refused, before anything is burned', async (_, key) => {
    const channel = await fixture.open()
    const voucher = await channel.voucher(price)
    expect((await send(voucher, answer, { key })).status).toBe(400)
    expect((await send(voucher, answer)).status).toBe(201)
  })

  test('is only looked at when there is a voucher', async () => {
    const response = await send({}, answer, { key: '' })
    expect(response.status).toBe(402)
  })
})

describe('a request that is being answered', () => {
  test('is not begun again, and its voucher stays good', async () => {
    const channel = await fixture.open()
    let finish: (response: Response) => void = () => {}
    const slow: Work = () =>
      new Promise((resolve) => {
        finish = resolve
      })
    const voucher = await channel.voucher(price)
    const first = send(voucher, slow)
    await expect.poll(async () => (await paywall.ledger.get(channel.id))?.reserved).toBe(price)
    const later = await channel.voucher(2n * price)
    const count = await ran(async () => {
      for (const headers of [voucher, later]) {
        const response = await send(headers, answer)
        expect([response.status, code(response)]).toEqual([409, 'idempotency_in_flight'])
        expect(response.headers.get('Retry-After')).toBe('1')
      }
      expect(code(await send(later, answer, { body: 'another' }))).toBe('idempotency_mismatch')
    })
    expect(count).toBe(0)
    finish(new Response('at last'))
    expect(await (await first).text()).toBe('at last')
    const again = await send(later, answer)
    expect([await again.text(), isReplayed(again)]).toEqual(['at last', true])
    expect((await send(later, answer, { key: 'other' })).status).toBe(201)
  })

  test('is answered once, however many ask at once, in two processes', async () => {
    const ledger = sqliteLedger(`${fixture.folder}/two.db`)
    const processes = [fixture.paywall({ ledger }), fixture.paywall({ ledger })]
    const channel = await fixture.open()
    const vouchers: Record<string, string>[] = []
    for (let count = 0; count < 40; count += 1) vouchers.push(await channel.voucher(price * 40n))
    const count = await ran(async () => {
      const responses = await Promise.all(
        vouchers.map((headers, index) => send(headers, answer, { at: processes[index % 2] as Paywall })),
      )
      const served = responses.filter(({ status }) => status === 201)
      expect(served.filter((response) => !isReplayed(response))).toHaveLength(1)
      for (const response of responses) expect([201, 409]).toContain(response.status)
    })
    expect(count).toBe(1)
    expect(await processes[0]?.ledger.get(channel.id)).toMatchObject({ charged: price, reserved: 0n })
  })
})

describe('a request that failed', () => {
  test('and was not charged runs again with a new nonce', async () => {
    const channel = await fixture.open()
    const voucher = await channel.voucher(price)
    expect((await send(voucher, () => new Response('no', { status: 502 }))).status).toBe(502)
    expect(code(await send(voucher, answer))).toBe('invalid_nonce')
    const again = await send(await channel.voucher(price), answer)
    expect([again.status, isReplayed(again)]).toEqual([201, false])
    expect(await charged(channel)).toBe(price)
  })

  test('whose body fails is not charged either', async () => {
    const channel = await fixture.open()
    const broken: Work = () =>
      new Response(
        new ReadableStream({
          pull(controller) {
            controller.error(new Error('secret detail'))
          },
        }),
      )
    const response = await send(await channel.voucher(price), broken)
    expect([response.status, await charged(channel)]).toEqual([500, 0n])
    expect(await response.text()).not.toContain('secret')
    expect(isReplayed(await send(await channel.voucher(price), answer))).toBe(false)
  })

  test('and was charged is told again', async () => {
    const channel = await fixture.open()
    const headers = { ...(await channel.voucher(price)), 'Idempotency-Key': 'charged' }
    const ask = () =>
      paywall.handle(new Request('http://p.test/ask', { headers }), price, (payment) => {
        payment.charge(10n)
        return new Response('half done', { status: 500 })
      })
    expect(Wire.parseCosts((await ask()).headers)?.cost).toBe(10n)
    const again = await ask()
    expect([again.status, await again.text(), isReplayed(again)]).toEqual([500, 'half done', true])
  })
})

describe('an answer too long to be kept', () => {
  const large = 'x'.repeat(300_000)

  test.each([
    ['at once', () => new Response(large)],
    [
      'in pieces',
      () =>
        new Response(
          new ReadableStream({
            start(controller) {
              for (let at = 0; at < large.length; at += 1_000) {
                controller.enqueue(new TextEncoder().encode(large.slice(at, at + 1_000)))
              }
              controller.close()
            },
          }),
        ),
    ],
  ])('comes whole, and its request runs anew: %s', async (_, work) => {
    const channel = await fixture.open()
    const first = await send(await channel.voucher(price), work)
    expect(await first.text()).toBe(large)
    expect(code(await send(await channel.voucher(price), work))).toBe('insufficient_funds')
    const again = await send(await channel.voucher(2n * price), work)
    expect([(await again.text()).length, isReplayed(again)]).toEqual([large.length, false])
    expect(await charged(channel)).toBe(2n * price)
  })

  test('is longer or shorter as the operator wants', async () => {
    const own = fixture.paywall({ idempotency: { maxAnswerBytes: 400_000 } })
    const channel = await fixture.open()
    const voucher = await channel.voucher(price)
    await send(voucher, () => new Response(large), { at: own })
    const again = await send(voucher, answer, { at: own })
    expect([await again.text(), isReplayed(again)]).toEqual([large, true])
  })
})

describe('the body of a request with a key', () => {
  test('is limited, and without a key it is not', async () => {
    const own = fixture.paywall({ idempotency: { maxBodyBytes: 1_000 } })
    const channel = await fixture.open()
    const body = 'x'.repeat(1_001)
    const voucher = await channel.voucher(price)
    const count = await ran(async () => {
      expect((await send(voucher, answer, { at: own, body })).status).toBe(413)
      expect(
        (await send(voucher, answer, { at: own, options: { body: new Uint8Array(1_001) } })).status,
      ).toBe(413)
    })
    expect(count).toBe(0)
    const request = new Request('http://p.test/ask', { method: 'POST', headers: voucher, body })
    expect((await own.handle(request, price, answer)).status).toBe(201)
  })

  test('never comes from a client that has left', async () => {
    const { port, close } = await new Promise<App>((resolve) => {
      const server = createServer(async (req, res) => {
        await once(res, 'close')
        left(
          bodyOf(req, undefined, 1_000)?.().then(
            () => 'read',
            () => 'gone',
          ),
        )
      })
      void listening(server).then(resolve)
    })
    let left: (outcome: unknown) => void = () => {}
    const outcome = new Promise((resolve) => {
      left = resolve
    })
    const client = connect(port, '127.0.0.1')
    client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nab', () => client.destroy())
    expect(await outcome).toBe('gone')
    await close()
  })

  test('that cannot be read is refused, and nothing is burned', async () => {
    const channel = await fixture.open()
    const voucher = await channel.voucher(price)
    const body = () => Promise.reject(new Error('secret detail'))
    const response = await send(voucher, answer, { options: { body } })
    expect([response.status, await charged(channel)]).toEqual([400, undefined])
    expect((await send(voucher, answer)).status).toBe(201)
  })

  test('can still be read by the work', async () => {
    const channel = await fixture.open()
    const headers = { ...(await channel.voucher(price)), 'Idempotency-Key': 'echo' }
    const request = new Request('http://p.test/echo', { method: 'POST', headers, body: 'echo' })
    const response = await paywall.handle(request, price, async () => new Response(await request.text()))
    expect(await response.text()).toBe('echo')
  })

  test('must be handed over when it was read before', async () => {
    const channel = await fixture.open()
    const log: string[] = []
    const own = fixture.paywall({ log: (message) => log.push(message) })
    const ask = async (headers: Record<string, string>, text: string, options?: RequestOptions) => {
      const request = new Request('http://p.test/ask', {
        method: 'POST',
        headers: { ...headers, 'Idempotency-Key': 'read' },
        body: text,
      })
      const bytes = new Uint8Array(await request.arrayBuffer())
      return own.handle(request, price, answer, options ?? { body: () => bytes })
    }
    const voucher = await channel.voucher(price)
    expect((await ask(voucher, 'one', {})).status).toBe(500)
    expect(log.join()).toContain('Pass `body`')
    expect((await ask(voucher, 'one')).status).toBe(201)
    expect(isReplayed(await ask(voucher, 'one'))).toBe(true)
    expect(code(await ask(voucher, 'two'))).toBe('idempotency_mismatch')
  })
})

describe('a metered stream', () => {
  const quote = { most: 1_000n, first: 200n, step: 200n }
  const stream = async (headers: Record<string, string>, source = createUpstream(), key = 'stream') =>
    paywall.handle(
      new Request('http://p.test/s', { headers: { ...headers, 'Idempotency-Key': key } }),
      quote,
      (payment) => {
        runs += 1
        return sse(payment, source)
      },
    )

  test('is sent again as it was, with a receipt of nothing', async () => {
    const channel = await fixture.open()
    const upstream = createUpstream()
    upstream.push(...events(3, 100n))
    upstream.end()
    const voucher = await channel.voucher(1_000n)
    const first = await readEvents(await stream(voucher, upstream)).rest()
    const count = await ran(async () => {
      const response = await stream(voucher)
      expect([isReplayed(response), response.headers.get('Content-Type')]).toEqual([
        true,
        'text/event-stream; charset=utf-8',
      ])
      expect(Wire.parseCosts(response.headers)).toMatchObject({ cost: 0n, total: 300n })
      const again = await readEvents(response).rest()
      expect(again.slice(0, 3)).toEqual(first.slice(0, 3))
      expect(again[3]).toMatchObject({
        event: 'payment-receipt',
        data: { channelId: channel.id, cost: '0', total: '300', ended: 'complete' },
      })
      expect(again.at(-1)?.data).toBe('[DONE]')
    })
    expect(count).toBe(0)
  })

  test('that the client left is sent again as far as it was charged', async () => {
    const channel = await fixture.open()
    const upstream = createUpstream()
    upstream.push(...events(2, 100n))
    const voucher = await channel.voucher(1_000n)
    const first = readEvents(await stream(voucher, upstream))
    await first.next()
    expect(code(await stream(await channel.voucher(1_000n)))).toBe('idempotency_in_flight')
    await first.cancel()
    const again = await readEvents(await stream(voucher)).rest()
    const sent = again.filter(({ event }) => event === 'message').slice(0, -1)
    expect(BigInt(sent.length) * 100n).toBe(await charged(channel))
    expect(again.find(({ event }) => event === 'payment-receipt')?.data).toMatchObject({ ended: 'left' })
  })

  test('that failed before it cost anything runs again', async () => {
    const channel = await fixture.open()
    const failing = createUpstream()
    failing.fail()
    await readEvents(await stream(await channel.voucher(1_000n), failing)).rest()
    const upstream = createUpstream()
    upstream.push(...events(1, 100n))
    upstream.end()
    const response = await stream(await channel.voucher(1_000n), upstream)
    expect([isReplayed(response), (await readEvents(response).rest()).length]).toEqual([false, 3])
  })

  test('that is too long to be kept runs anew', async () => {
    const channel = await fixture.open()
    const long = () => {
      const upstream = createUpstream()
      for (const { cost } of events(3, 100n))
        upstream.push({ data: 'x'.repeat(100_000), cost: cost as bigint })
      upstream.end()
      return upstream
    }
    await (await stream(await channel.voucher(1_000n), long())).text()
    const again = await stream(await channel.voucher(1_000n), long())
    expect(isReplayed(again)).toBe(false)
    await again.text()
    expect(await charged(channel)).toBe(600n)
  })
})

describe('an answer', () => {
  test.each([
    [99, false],
    [200, true],
    [599, true],
    [600, false],
    [999, false],
  ])('with the status %d can be given again: %s', (status, isKept) => {
    const answer = { status, headers: [], body: new Uint8Array(3) }
    expect(encodeAnswer(answer, 1_000) !== undefined).toBe(isKept)
  })
})

describe('a client that leaves before its answer', () => {
  test('keeps its reservation while the work goes on, which is told', async () => {
    let now = Date.now()
    let renewals = 0
    const ledger = memoryLedger({ log: () => {}, now: () => now })(identity)
    const watched: Ledger = {
      ...ledger,
      async renew(...args) {
        const result = await ledger.renew(...args)
        renewals += 1
        return result
      },
    }
    const running = createRunningPayments(1)
    const channel = aChannel()
    const key = { id: `0x${'1d'.repeat(32)}`, fingerprint: `0x${'f1'.repeat(32)}` } as const
    const reserved = await ledger.reserve({ channel, voucher: aVoucher(10n, 1n), quote: 10n, key })
    if (!reserved.ok) throw new Error(reserved.code)
    const context = {
      ...{ ledger: watched, running, lines: createWaitingLines(), maxAnswerBytes: 1_000 },
      settings: defaultStreamSettings,
    }
    const { reservationId, state } = reserved
    const payment = new Payment(context, {
      ...{ reservationId, consumer: channel.consumer, quote: 10n, account: state, keepsAnswer: true },
    })
    payment.abandon()
    expect(payment.signal.aborted).toBe(true)
    for (let count = 0; count < 3; count += 1) {
      now += 40_000
      const before = renewals
      await expect.poll(() => renewals).toBeGreaterThan(before + 1)
    }
    // Nobody else gets the credit, and the work that was done is charged.
    const other = await ledger.reserve({ channel, voucher: aVoucher(10n, 2n), quote: 10n })
    expect(other).toMatchObject({ ok: false, code: 'insufficient_funds' })
    const answer = { status: 200, headers: [], body: new Uint8Array(3) }
    expect(await payment.settle(true, answer)).toMatchObject({ cost: 10n })
    expect(await ledger.outcome(channel.channelId, key.id)).toBeDefined()
    running.stop()
  })

  const leave = async (work: (signal: AbortSignal) => Promise<Response>) => {
    const channel = await fixture.open()
    const left = new AbortController()
    const headers = await channel.voucher(price)
    const request = new Request('http://p.test/ask', { headers, signal: left.signal })
    const response = paywall.handle(request, price, () => {
      left.abort()
      return work(request.signal)
    })
    await response
    return paywall.ledger.get(channel.id)
  }

  test('pays for work that was done', async () => {
    expect(await leave(async () => new Response('done'))).toMatchObject({ charged: price, reserved: 0n })
  })

  test('pays nothing for work that was given up', async () => {
    const given = await leave(async (signal) => {
      signal.throwIfAborted()
      return new Response('not reached')
    })
    expect(given).toMatchObject({ charged: 0n, reserved: 0n })
  })
})
