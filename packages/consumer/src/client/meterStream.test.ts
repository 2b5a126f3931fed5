import { afterEach, expect, test, vi } from 'vitest'
import { idleTime, meterStream, type Receipt } from './meterStream.ts'

afterEach(() => void vi.useRealTimers())

const channelId = `0x${'ab'.repeat(32)}` as const
const receipt = (fields: object = {}) =>
  `event: payment-receipt\ndata: ${JSON.stringify({ channelId, cost: '12', total: '30', remaining: '70', ...fields })}\n\n`

/** A metered stream of these chunks, and what its end was told. */
function meter(chunks: (string | Error)[]) {
  const ends: (Receipt | undefined)[] = []
  const state = { read: 0, cancelled: false }
  const encoder = new TextEncoder()
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const chunk = chunks[state.read++]
        if (chunk === undefined) controller.close()
        else if (chunk instanceof Error) controller.error(chunk)
        else controller.enqueue(encoder.encode(chunk))
      },
      cancel() {
        state.cancelled = true
      },
    },
    { highWaterMark: 0 },
  )
  const original = new Response(body, {
    status: 201,
    headers: { 'content-type': 'text/event-stream', 'x-own': '1' },
  })
  Object.defineProperty(original, 'url', { value: 'https://api.example.com/v1' })
  const seen = { content: 0, asked: 0, left: false }
  const response = meterStream(original, channelId, {
    onContent(bytes) {
      seen.content += bytes
    },
    onNeedVoucher() {
      seen.asked += 1
    },
    async onEnd(end, left) {
      ends.push(end)
      seen.left = left
    },
  })
  return { response, ends, state, seen }
}

test('passes the stream on and tells the receipt', async () => {
  const { response, ends } = meter(['data: 1\n\n', receipt(), 'data: [DONE]\n\n'])
  expect(await response.text()).toBe('data: 1\n\ndata: [DONE]\n\n')
  expect(ends).toEqual([{ cost: 12n, total: 30n }])
  expect([response.status, response.headers.get('x-own'), response.url]).toEqual([
    201,
    '1',
    'https://api.example.com/v1',
  ])
})

test('reads no more than is read from it', async () => {
  const { response, state } = meter(['data: 1\n\n', 'data: 2\n\n', 'data: 3\n\n'])
  expect(state.read).toBe(0)
  const reader = response.body?.getReader()
  await reader?.read()
  expect(state.read).toBe(1)
  await reader?.read()
  expect(state.read).toBe(2)
})

test('tells the receipt as soon as it came: some readers stop at [DONE]', async () => {
  const { response, ends } = meter(['data: 1\n\n', `${receipt()}data: [DONE]\n\n`, 'data: more\n\n'])
  const reader = response.body?.getReader()
  await reader?.read()
  expect(ends).toEqual([])
  await reader?.read()
  expect(ends).toEqual([{ cost: 12n, total: 30n }])
  await reader?.cancel()
  expect(ends).toHaveLength(1)
})

test('tells the end without a receipt: at the end, on failure, on cancellation', async () => {
  const ended = meter(['data: 1\n\n'])
  await ended.response.text()
  expect(ended.ends).toEqual([undefined])

  const failed = meter(['data: 1\n\n', new Error('connection lost')])
  await expect(failed.response.text()).rejects.toThrow('connection lost')
  expect(failed.ends).toEqual([undefined])

  const cancelled = meter(['data: 1\n\n', 'data: 2\n\n'])
  const reader = cancelled.response.body?.getReader()
  await reader?.read()
  await reader?.cancel()
  expect(cancelled.ends).toEqual([undefined])
  expect(cancelled.state.cancelled).toBe(true)
  expect([ended.seen.left, failed.seen.left, cancelled.seen.left]).toEqual([false, false, true])
})

test('a stream that nobody reads any more counts as left after a while, whether or not anything was read', async () => {
  vi.useFakeTimers()
  const dropped = meter(['data: 1\n\n'])
  const begun = meter(['data: 1\n\n', 'data: 2\n\n'])
  const reader = begun.response.body?.getReader()
  await vi.advanceTimersByTimeAsync(idleTime - 1)
  await reader?.read()
  expect(dropped.ends).toEqual([])
  await vi.advanceTimersByTimeAsync(idleTime - 1)
  expect([dropped.ends, dropped.state.cancelled]).toEqual([[undefined], true])
  await expect(dropped.response.text()).rejects.toThrow('not read for 10 minutes')
  expect(begun.ends).toEqual([])
  await vi.advanceTimersByTimeAsync(1)
  expect([begun.ends, begun.seen.left]).toEqual([[undefined], true])
  await expect(reader?.read()).rejects.toThrow('not read for 10 minutes')
})

test('a provider may take its time, and a reader too after the receipt', async () => {
  vi.useFakeTimers()
  let send: (text: string) => void = () => {}
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      send = (text) => controller.enqueue(new TextEncoder().encode(text))
    },
  })
  const ends: (Receipt | undefined)[] = []
  const response = meterStream(new Response(body), channelId, {
    onContent() {},
    onNeedVoucher() {},
    onEnd: async (end) => void ends.push(end),
  })
  const reader = response.body?.getReader()
  const read = reader?.read()
  await vi.advanceTimersByTimeAsync(2 * idleTime)
  send(`data: 1\n\n${receipt()}`)
  await read
  await vi.advanceTimersByTimeAsync(2 * idleTime)
  send('data: [DONE]\n\n')
  expect(new TextDecoder().decode((await reader?.read())?.value)).toBe('data: [DONE]\n\n')
  expect(ends).toEqual([{ cost: 12n, total: 30n }])
})

test('tells what is asked for on this channel, and how much content came', async () => {
  const ask = (id: string) => `event: payment-need-voucher\ndata: {"channelId":"${id}"}\n\n`
  const events = [
    `data: 1\n\n${ask(channelId)}`,
    ask(`0x${'cd'.repeat(32)}`),
    'event: payment-need-voucher\n\n',
  ]
  const { response, seen } = meter([...events, 'data: 2\n\n'])
  expect(await response.text()).toBe('data: 1\n\ndata: 2\n\n')
  expect(seen).toEqual({ content: 18, asked: 1, left: false })
})

test.each([
  ['another channel', receipt({ channelId: `0x${'cd'.repeat(32)}` })],
  ['numbers', receipt({ cost: 12 })],
  ['negative amounts', receipt({ total: '-1' })],
  ['no JSON', 'event: payment-receipt\ndata: 12\n\n'],
  ['nothing', 'event: payment-receipt\n\n'],
])('a receipt with %s is none, and is taken out all the same', async (_, event) => {
  const { response, ends } = meter([event, 'data: [DONE]\n\n'])
  expect(await response.text()).toBe('data: [DONE]\n\n')
  expect(ends).toEqual([undefined])
})
