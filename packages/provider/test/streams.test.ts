import { type MeteredEvent, type Paywall, type PaywallConfig, type RequestQuote, sse } from '@drain/provider'
import { sqliteLedger } from '@drain/provider/sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Fixture, type OpenChannel, startFixture } from './fixture.ts'
import { type Arrived, createUpstream, events, readEvents } from './streamTools.ts'

let fixture: Fixture
let paywall: Paywall
beforeAll(async () => {
  fixture = await startFixture()
  paywall = fixture.paywall()
})
afterAll(() => fixture?.close())

/** Ten events of 100, reserved two at a time. */
const quote = { most: 1_000n, first: 200n, step: 200n }

const post = (path: string, body?: unknown, headers: Record<string, string> = {}, at = paywall) =>
  at.endpoints(
    new Request(`http://p.test${path}`, {
      method: 'POST',
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }),
  ) as Promise<Response>
const raise = async (channel: OpenChannel, amount: bigint, at = paywall) =>
  (await post('/v1/vouchers', undefined, await channel.voucher(amount), at)).json()
const close = async (channel: OpenChannel, at = paywall) =>
  (
    await post('/v1/close-channel', { channelId: channel.id, ...(await channel.request('close')) }, {}, at)
  ).json()

async function open(
  channel: OpenChannel,
  amount: bigint,
  source: AsyncIterable<MeteredEvent>,
  { at = paywall, price = quote as RequestQuote } = {},
) {
  const headers = await channel.voucher(amount)
  return at.handle(new Request('http://p.test/s', { headers }), price, (payment) => sse(payment, source))
}

const charged = async (channel: OpenChannel, at = paywall) => (await at.ledger.get(channel.id))?.charged
const indexes = (all: Arrived[]) =>
  all.flatMap(({ event, data }) => (event === 'message' ? (data.index ?? []) : []))
const receiptOf = (all: Arrived[]) => all.find(({ event }) => event === 'payment-receipt')?.data

describe('a voucher for the first step', () => {
  test('begins a stream, and is topped up while it runs', async () => {
    const channel = await fixture.open()
    const upstream = createUpstream()
    upstream.push(...events(10, 100n))
    upstream.end()
    const stream = readEvents(await open(channel, 200n, upstream))
    const received: number[] = []
    let signed = 200n
    let receipt: Arrived['data']
    for (let arrived = await stream.next(); arrived; arrived = await stream.next()) {
      if (arrived.event === 'payment-need-voucher') {
        const { channelId, requiredCumulative, acceptedCumulative, deposit } = arrived.data
        expect([channelId, acceptedCumulative, deposit]).toEqual([channel.id, `${signed}`, '1000000'])
        // Everything that was paid for has come, and nothing more.
        expect(BigInt(received.length) * 100n).toBe(signed)
        expect(BigInt(requiredCumulative)).toBeGreaterThan(signed)
        signed = BigInt(requiredCumulative)
        expect(await raise(channel, signed)).toMatchObject({ acceptedCumulative: requiredCumulative })
      } else if (arrived.event === 'payment-receipt') receipt = arrived.data
      else if (arrived.data !== '[DONE]') received.push(arrived.data.index)
    }
    expect(received).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(receipt).toMatchObject({ cost: '1000', total: '1000', ended: 'complete' })
    expect(await paywall.ledger.get(channel.id)).toMatchObject({ charged: 1_000n, reserved: 0n })
    // More than the quote is never asked for.
    expect(signed).toBe(1_000n)
  })

  test('is refused below it, with the whole quote named', async () => {
    const channel = await fixture.open()
    const response = await open(channel, 199n, createUpstream())
    expect([response.status, response.headers.get('X-DRAIN-Error')]).toEqual([402, 'insufficient_funds'])
    expect(response.headers.get('X-DRAIN-Required')).toBe('1000')
    expect((await response.json()).error.message).toContain('0.000200 USDC to begin')
    const asked = await paywall.handle(new Request('http://p.test/s'), quote, () => new Response())
    expect(asked.headers.get('X-DRAIN-Required')).toBe('1000')
  })

  test('reserves no more than the step that comes next', async () => {
    const channel = await fixture.open()
    const upstream = createUpstream()
    const stream = readEvents(await open(channel, 1_000n, upstream))
    expect((await paywall.ledger.get(channel.id))?.reserved).toBe(200n)
    upstream.push(...events(1, 100n))
    await stream.next()
    expect(await paywall.ledger.get(channel.id)).toMatchObject({ charged: 100n, reserved: 200n })
    await stream.cancel()
    expect(await paywall.ledger.get(channel.id)).toMatchObject({ charged: 100n, reserved: 0n })
  })
})

test('a voucher for the whole quote is never asked for another', async () => {
  const channel = await fixture.open()
  const upstream = createUpstream()
  upstream.push(...events(10, 100n))
  upstream.end()
  const all = await readEvents(await open(channel, 1_000n, upstream)).rest()
  expect(all.map(({ event }) => event)).not.toContain('payment-need-voucher')
  expect(indexes(all)).toHaveLength(10)
  expect(receiptOf(all)).toMatchObject({ cost: '1000', ended: 'complete' })
})

test('nothing is received that was not charged, wherever the reading stops', async () => {
  for (let stop = 1; stop <= 12; stop += 1) {
    const channel = await fixture.open()
    async function* source() {
      yield { data: '{}', event: 'hello' }
      // In bursts, and with pauses.
      for (const event of events(30, 7n)) {
        if (Number(event.cost) % 4 === 0) await new Promise(setImmediate)
        yield event
      }
    }
    const stream = readEvents(await open(channel, 210n, source(), { price: { most: 210n, first: 20n } }))
    let received = 0n
    for (let count = 0; count < stop; count += 1) {
      const arrived = await stream.next()
      if (arrived?.data.index) received = BigInt(arrived.data.index) * 7n
      expect(await charged(channel)).toBeGreaterThanOrEqual(received)
    }
    await stream.cancel()
    const state = await paywall.ledger.get(channel.id)
    expect(state?.charged).toBeGreaterThanOrEqual(received)
    expect(state?.charged).toBeLessThanOrEqual(210n)
    expect(state?.reserved).toBe(0n)
  }
})

describe('a stream whose voucher is used up', () => {
  test('waits for the grace period, and ends with what was sent', async () => {
    const patient = fixture.paywall({ streams: { graceMs: 300 } })
    const channel = await fixture.open()
    const upstream = createUpstream()
    upstream.push(...events(5, 100n))
    const all = await readEvents(await open(channel, 200n, upstream, { at: patient })).rest()
    expect(all.map(({ event }) => event)).toEqual([
      ...['message', 'message', 'payment-need-voucher', 'payment-receipt', 'message'],
    ])
    expect(receiptOf(all)).toMatchObject({ cost: '200', ended: 'voucher' })
    expect(all.at(-1)?.data).toBe('[DONE]')
    expect(upstream.isStopped).toBe(true)
    expect(await patient.ledger.get(channel.id)).toMatchObject({ charged: 200n, reserved: 0n })
  })

  test('ends then also when nobody reads it', async () => {
    const patient = fixture.paywall({ streams: { graceMs: 300 } })
    const channel = await fixture.open()
    const upstream = createUpstream()
    upstream.push(...events(5, 100n))
    const stream = readEvents(await open(channel, 200n, upstream, { at: patient }))
    await stream.until('payment-need-voucher')
    await expect.poll(() => upstream.isStopped).toBe(true)
    await expect.poll(async () => (await patient.ledger.get(channel.id))?.reserved).toBe(0n)
    expect(receiptOf(await stream.rest())).toMatchObject({ ended: 'voucher' })
  })

  test('is told again when a voucher was not enough', async () => {
    const channel = await fixture.open()
    const upstream = createUpstream()
    upstream.push(...events(5, 100n))
    upstream.end()
    const stream = readEvents(await open(channel, 200n, upstream))
    const first = await stream.until('payment-need-voucher')
    const again = stream.until('payment-need-voucher')
    await raise(channel, 250n)
    expect(await again).toEqual({ ...first, acceptedCumulative: '250' })
    await raise(channel, BigInt(first.requiredCumulative))
    expect((await stream.next())?.data).toEqual({ index: 3 })
    await stream.cancel()
  })

  test('goes on with what another request gives back', async () => {
    const channel = await fixture.open()
    let finish: (response: Response) => void = () => {}
    const other = paywall.handle(
      new Request('http://p.test/whole', { headers: await channel.voucher(500n) }),
      500n,
      () =>
        new Promise((resolve) => {
          finish = resolve
        }),
    )
    await expect.poll(async () => (await paywall.ledger.get(channel.id))?.reserved).toBe(500n)
    const upstream = createUpstream()
    upstream.push(...events(5, 100n))
    upstream.end()
    const stream = readEvents(await open(channel, 700n, upstream))
    expect(await stream.until('payment-need-voucher')).toMatchObject({ acceptedCumulative: '700' })
    finish(new Response('failed', { status: 500 }))
    await other
    expect(indexes(await stream.rest())).toEqual([3, 4, 5])
  })

  test('ends at once where the deposit has no more to give', async () => {
    const channel = await fixture.open()
    const upstream = createUpstream()
    upstream.push(...events(5, 300_000n))
    const price = { most: 1_500_000n, first: 300_000n, step: 300_000n }
    const all = await readEvents(await open(channel, channel.deposit, upstream, { price })).rest()
    expect(all.map(({ event }) => event)).toEqual([
      ...['message', 'message', 'message', 'payment-receipt', 'message'],
    ])
    expect(receiptOf(all)).toMatchObject({ cost: '900000', remaining: '100000', ended: 'deposit' })
  })

  test('asks for no more than the deposit', async () => {
    const channel = await fixture.open()
    const upstream = createUpstream()
    upstream.push(...events(3, 300_000n))
    upstream.end()
    const price = { most: 1_500_000n, first: 300_000n, step: 900_000n }
    const stream = readEvents(await open(channel, 300_000n, upstream, { price }))
    const need = await stream.until('payment-need-voucher')
    expect(need.requiredCumulative).toBe('1000000')
    await raise(channel, 1_000_000n)
    expect(receiptOf(await stream.rest())).toMatchObject({ cost: '900000', ended: 'complete' })
  })

  test('ends when the channel is closed, charged what was sent', async () => {
    const channel = await fixture.open()
    const upstream = createUpstream()
    upstream.push(...events(5, 100n))
    const stream = readEvents(await open(channel, 200n, upstream))
    await stream.until('payment-need-voucher')
    expect(await close(channel)).toMatchObject({ finalAmount: '200' })
    expect(receiptOf(await stream.rest())).toMatchObject({ cost: '200', ended: 'closed' })
    expect(upstream.isStopped).toBe(true)
  })

  test('is let go when its client leaves', async () => {
    const channel = await fixture.open()
    const upstream = createUpstream()
    upstream.push(...events(5, 100n))
    const stream = readEvents(await open(channel, 200n, upstream))
    await stream.until('payment-need-voucher')
    await stream.cancel()
    expect(upstream.isStopped).toBe(true)
    expect(await paywall.ledger.get(channel.id)).toMatchObject({ charged: 200n, reserved: 0n })
    // Nobody waits any more: the next stream is first in line.
    const next = createUpstream()
    next.push(...events(2, 100n))
    next.end()
    expect(receiptOf(await readEvents(await open(channel, 400n, next)).rest())).toMatchObject({
      ended: 'complete',
    })
  })
})

describe('two streams that wait', () => {
  test('go on in the order in which they came', async () => {
    const channel = await fixture.open()
    const [first, second] = [createUpstream(), createUpstream()]
    for (const upstream of [first, second]) upstream.push(...events(4, 100n))
    const one = readEvents(await open(channel, 200n, first))
    await one.until('payment-need-voucher')
    const two = readEvents(await open(channel, 400n, second))
    const need = await two.until('payment-need-voucher')
    // Each has had 200 and asks for 300: its next two events, and a step more while nobody waits.
    expect(BigInt(need.requiredCumulative)).toBeGreaterThan(400n)

    // Enough for the two events of one of them.
    await raise(channel, 600n)
    expect([(await one.next())?.data, (await one.next())?.data]).toEqual([{ index: 3 }, { index: 4 }])
    expect(second.taken).toBe(4)
    expect(await charged(channel)).toBe(600n)
    first.end()
    expect(receiptOf(await one.rest())).toMatchObject({ cost: '400', ended: 'complete' })
    await raise(channel, 800n)
    second.end()
    const rest = await two.rest()
    expect(indexes(rest)).toEqual([3, 4])
    expect(receiptOf(rest)).toMatchObject({ cost: '400', total: '800' })
  })

  test('do not keep from each other what each has left', async () => {
    const channel = await fixture.open()
    const quick = fixture.paywall({ streams: { graceMs: 1_000 } })
    const price = { most: 2_000n, first: 250n, step: 250n }
    const [first, second] = [createUpstream(), createUpstream()]
    for (const upstream of [first, second]) upstream.push(...events(6, 200n))
    // Each ends with 50 that are too few for an event of 200; together with the other's and 100 more they are not.
    const one = readEvents(await open(channel, 250n, first, { at: quick, price }))
    await one.until('payment-need-voucher')
    const two = readEvents(await open(channel, 600n, second, { at: quick, price }))
    const [left, right] = await Promise.all([one.rest(), two.rest()])
    expect([receiptOf(left).ended, receiptOf(right).ended]).toEqual(['voucher', 'voucher'])
    expect(await charged(channel, quick)).toBe(600n)
  })
})

test('parallel streams share the vouchers of their channel', async () => {
  const channel = await fixture.open()
  const quick = fixture.paywall({ streams: { graceMs: 1_000 } })
  const streams = []
  for (let count = 1n; count <= 3n; count += 1n) {
    const upstream = createUpstream()
    upstream.push(...events(10, 100n))
    upstream.end()
    streams.push(readEvents(await open(channel, 200n * count, upstream, { at: quick })))
  }
  await raise(channel, 1_500n, quick)
  const all = await Promise.all(streams.map((stream) => stream.rest()))
  const sent = all.flatMap(indexes).length
  expect(sent).toBe(15)
  expect(await quick.ledger.get(channel.id)).toMatchObject({ charged: 1_500n, reserved: 0n })
  for (const events of all) {
    expect(indexes(events)).toEqual(indexes(events).toSorted((a, b) => a - b))
    expect(receiptOf(events).cost).toBe(`${indexes(events).length * 100}`)
  }
})

describe('two processes on one ledger', () => {
  const two = (options: Partial<PaywallConfig> = {}) => {
    const ledger = sqliteLedger(`${fixture.folder}/${crypto.randomUUID()}.db`)
    return [fixture.paywall({ ledger, ...options }), fixture.paywall({ ledger, ...options })] as const
  }

  test('a voucher that the other one takes lets a stream go on', async () => {
    const [here, there] = two({ streams: { pollMs: 50 } })
    const channel = await fixture.open()
    const upstream = createUpstream()
    upstream.push(...events(4, 100n))
    upstream.end()
    const stream = readEvents(await open(channel, 200n, upstream, { at: here }))
    const { requiredCumulative } = await stream.until('payment-need-voucher')
    await raise(channel, BigInt(requiredCumulative), there)
    expect(indexes(await stream.rest())).toEqual([3, 4])
  })

  test('a close that the other one is asked for ends a stream that waits, and one that runs', async () => {
    const [here, there] = two({ streams: { pollMs: 50 } })
    const channel = await fixture.open()
    const [waiting, running] = [createUpstream(), createUpstream()]
    waiting.push(...events(4, 100n))
    const one = readEvents(await open(channel, 200n, waiting, { at: here }))
    await one.until('payment-need-voucher')
    running.push(...events(1, 100n))
    const two_ = readEvents(await open(channel, 400n, running, { at: here }))
    await two_.next()
    const closing = close(channel, there)
    expect(receiptOf(await one.rest())).toMatchObject({ cost: '200', ended: 'closed' })
    // It learns of it with its next event, which it had reserved before.
    running.push(...events(1, 100n, 2))
    expect(receiptOf(await two_.rest())).toMatchObject({ cost: '200', ended: 'closed' })
    expect(await closing).toMatchObject({ finalAmount: '400' })
  })
})

describe('an upstream', () => {
  test('that fails is charged for what was sent, and its words stay inside', async () => {
    const channel = await fixture.open()
    const upstream = createUpstream()
    upstream.push(...events(2, 100n))
    upstream.fail()
    const all = await readEvents(await open(channel, 1_000n, upstream)).rest()
    expect(indexes(all)).toEqual([1, 2])
    expect(all[2]?.data).toMatchObject({ error: { code: 'upstream_failed' } })
    expect(receiptOf(all)).toMatchObject({ cost: '200', ended: 'failed' })
    expect(JSON.stringify(all)).not.toContain('secret')
  })

  test('that fails before its first event costs nothing', async () => {
    const channel = await fixture.open()
    const upstream = createUpstream()
    upstream.fail()
    expect(receiptOf(await readEvents(await open(channel, 1_000n, upstream)).rest())).toMatchObject({
      cost: '0',
    })
  })

  test('that is faster than its reader waits', async () => {
    const channel = await fixture.open()
    let made = 0
    async function* flood() {
      for (;;) {
        made += 1
        yield { data: 'x'.repeat(100), cost: BigInt(made) }
      }
    }
    const response = await open(channel, 100_000n, flood(), { price: 100_000n })
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    let read = 0
    for (let count = 0; count < 20; count += 1) {
      const { value } = await reader.read()
      read += new TextDecoder().decode(value).split('\n\n').length - 1
      // What is collected while one step is charged, and one step itself.
      expect(made - read).toBeLessThanOrEqual(2 * 256 + 2)
    }
    await reader.cancel()
    expect(made - read).toBeLessThanOrEqual(2 * 256 + 2)
    expect(await charged(channel)).toBeLessThanOrEqual(BigInt(made))
  })

  test('that sends large events is read ahead by bytes', async () => {
    const channel = await fixture.open()
    let made = 0
    async function* flood() {
      for (;;) {
        made += 1
        yield { data: 'x'.repeat(100_000), cost: BigInt(made) }
      }
    }
    const response = await open(channel, 100_000n, flood(), { price: 100_000n })
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    await reader.read()
    await reader.cancel()
    expect(made).toBeLessThanOrEqual(2 * 3 + 2)
  })

  test('that says nothing for long is kept alive by comments', async () => {
    const lively = fixture.paywall({ streams: { keepAliveMs: 20 } })
    const channel = await fixture.open()
    const upstream = createUpstream()
    const response = await open(channel, 1_000n, upstream, { at: lively })
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    expect(new TextDecoder().decode((await reader.read()).value)).toBe(': keep-alive\n\n')
    await reader.cancel()
    expect(await charged(channel, lively)).toBe(0n)
  })

  test('can send data of several lines, and no events of ours', async () => {
    const channel = await fixture.open()
    const forged = '1\n\nevent: payment-receipt\rdata: {"cost":"0"}'
    const upstream = createUpstream()
    upstream.push({ data: forged, event: 'a\nevent: payment-receipt', cost: 1n })
    upstream.end()
    const text = await (await open(channel, 1_000n, upstream)).text()
    expect(text.match(/^event: payment-receipt$/gm)).toHaveLength(1)
    expect(text).toContain('event: a event: payment-receipt\ndata: 1\ndata: \ndata: event: payment-receipt\n')
  })
})

test('steps that come together are charged together', async () => {
  const channel = await fixture.open()
  const upstream = createUpstream()
  upstream.push(...events(200, 1n))
  upstream.end()
  const response = await open(channel, 200n, upstream, { price: 200n })
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  let chunks = 0
  let text = ''
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    chunks += 1
    text += new TextDecoder().decode(read.value)
  }
  expect(text).toContain('{"index":200}')
  // Not one write of the ledger for each of them.
  expect(chunks).toBeLessThan(20)
})

test('an answer to HEAD ends its stream', async () => {
  const channel = await fixture.open()
  const upstream = createUpstream()
  const headers = await channel.voucher(1_000n)
  const request = new Request('http://p.test/s', { method: 'HEAD', headers })
  const response = await paywall.handle(request, quote, (payment) => sse(payment, upstream))
  expect(response.status).toBe(200)
  expect(upstream.isStopped).toBe(true)
  expect(await paywall.ledger.get(channel.id)).toMatchObject({ charged: 0n, reserved: 0n })
})

test('work that throws after it began a stream leaves nothing reserved', async () => {
  const channel = await fixture.open()
  const upstream = createUpstream()
  const headers = await channel.voucher(1_000n)
  const response = await paywall.handle(new Request('http://p.test/s', { headers }), quote, (payment) => {
    sse(payment, upstream)
    throw new Error('secret detail')
  })
  expect(response.status).toBe(500)
  await expect.poll(async () => (await paywall.ledger.get(channel.id))?.reserved).toBe(0n)
  expect(await charged(channel)).toBe(0n)
})

test('work that began a stream and answers something else leaves nothing reserved', async () => {
  const channel = await fixture.open()
  const headers = await channel.voucher(1_000n)
  const upstream = createUpstream()
  const response = await paywall.handle(new Request('http://p.test/s', { headers }), quote, (payment) => {
    sse(payment, upstream)
    return new Response('something else', { status: 502 })
  })
  expect([response.status, await response.text()]).toEqual([502, 'something else'])
  expect(response.headers.get('X-DRAIN-Cost')).toBe('0')
  expect(await paywall.ledger.get(channel.id)).toMatchObject({ charged: 0n, reserved: 0n })
})

test('a cost that is reported for events which are never sent is not charged', async () => {
  const channel = await fixture.open()
  const headers = await channel.voucher(100_000n)
  let made = 0
  const response = await paywall.handle(new Request('http://p.test/s', { headers }), 100_000n, (payment) =>
    sse(
      payment,
      (async function* () {
        for (let index = 1; index <= 300; index += 1) {
          payment.charge(BigInt(index) * 100n)
          made = index
          yield { data: JSON.stringify({ index }) }
        }
      })(),
    ),
  )
  const reader = response.body?.getReader()
  const sent = new TextDecoder().decode((await reader?.read())?.value).split('data: {').length - 1
  await expect.poll(() => made).toBeGreaterThan(sent + 10)
  await reader?.cancel()
  await expect.poll(async () => (await paywall.ledger.get(channel.id))?.reserved).toBe(0n)
  expect(await charged(channel)).toBe(BigInt(sent) * 100n)
})

test('a ledger that fails ends the stream without a receipt, and nothing is sent uncharged', async () => {
  const failing = fixture.paywall()
  const channel = await fixture.open()
  const upstream = createUpstream()
  const stream = readEvents(await open(channel, 1_000n, upstream, { at: failing }))
  upstream.push(...events(1, 100n))
  await stream.next()
  await failing.ledger.close()
  upstream.push(...events(1, 100n, 2))
  const all = await stream.rest()
  expect(all.map(({ data }) => data)).toEqual([
    { error: { message: expect.any(String), type: 'api_error', code: 'unavailable' } },
    '[DONE]',
  ])
  expect(upstream.isStopped).toBe(true)
})

describe('an answer that was reserved in steps and comes whole', () => {
  const whole = async (channel: OpenChannel, amount: bigint, cost?: bigint) => {
    const headers = await channel.voucher(amount)
    const response = await paywall.handle(new Request('http://p.test/s', { headers }), quote, (payment) => {
      if (cost !== undefined) payment.charge(cost)
      return new Response('whole')
    })
    return response.headers.get('X-DRAIN-Cost')
  }

  test('is charged what it cost, as far as the voucher goes', async () => {
    expect(await whole(await fixture.open(), 1_000n, 900n)).toBe('900')
    expect(await whole(await fixture.open(), 1_000n)).toBe('1000')
    expect(await whole(await fixture.open(), 500n, 900n)).toBe('500')
    expect(await whole(await fixture.open(), 200n, 10n)).toBe('10')
  })
})
