import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createPaymentEventFilter, type PaymentEvent } from './paymentEvents.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Runs a stream through the filter, cut into chunks at `cuts`. */
function filter(
  text: string,
  cuts: number[] = [],
): { passed: string; events: PaymentEvent[]; steps: string[] } {
  const bytes = encoder.encode(text)
  const events: PaymentEvent[] = []
  const { push, flush } = createPaymentEventFilter((event) => events.push(event))
  const points = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  const parts: Uint8Array[] = []
  let at = 0
  for (const point of [...points, bytes.length]) {
    parts.push(push(bytes.slice(at, point)))
    at = point
  }
  parts.push(flush())
  const steps = parts.map((part) => decoder.decode(part))
  return { passed: decoder.decode(Buffer.concat(parts)), events, steps }
}

const stream = [
  'data: {"choices":[]}\n\n',
  ': X-DRAIN-Cost: 12\n\n',
  'event: payment-need-voucher\ndata: {"requiredCumulative":"5"}\n\n',
  'data: {"choices":[1]}\n\n',
  'event: payment-receipt\ndata: {"cost":"12",\ndata: "total":"12"}\n\n',
  'data: [DONE]\n\n',
]

test('takes payment events out and leaves the rest as it is', () => {
  const { passed, events } = filter(stream.join(''))
  expect(passed).toBe([stream[0], stream[1], stream[3], stream[5]].join(''))
  expect(events).toEqual([
    { name: 'payment-need-voucher', data: '{"requiredCumulative":"5"}' },
    { name: 'payment-receipt', data: '{"cost":"12",\n"total":"12"}' },
  ])
})

test.each(['\n', '\r\n', '\r'])('works with every line ending and at every chunk boundary: %j', (ending) => {
  const text = stream.join('').replaceAll('\n', ending)
  const expected = [stream[0], stream[1], stream[3], stream[5]].join('').replaceAll('\n', ending)
  const length = encoder.encode(text).length
  for (let cut = 0; cut <= length; cut++) {
    const { passed, events } = filter(text, [cut])
    expect(passed).toBe(expected)
    expect(events).toHaveLength(2)
  }
  const everyByte = filter(
    text,
    Array.from({ length }, (_, index) => index),
  )
  expect(everyByte.passed).toBe(expected)
})

test('an event passes with its blank line, not with the event after it', () => {
  const { push } = createPaymentEventFilter(() => {})
  const step = (text: string) => decoder.decode(push(encoder.encode(text)))
  expect(step('data: 1\n')).toBe('')
  expect(step('\nda')).toBe('data: 1\n\n')
  expect(step('ta: 2\r\n\r\n')).toBe('data: 2\r\n\r\n')
  expect(step('data: 3\r\n\r')).toBe('data: 3\r\n\r')
  expect(step('\n')).toBe('\n')
})

test('the event field may stand anywhere in its event, and the last one counts', () => {
  const own = 'data: {}\nevent: payment-receipt\n\n'
  const overruled = 'event: payment-receipt\nevent: message\ndata: x\n\n'
  const similar = 'event: payment-receipts\ndata: y\n\n'
  const { passed, events } = filter(own + overruled + similar)
  expect(passed).toBe(overruled + similar)
  expect(events).toEqual([{ name: 'payment-receipt', data: '{}' }])
})

test('an unfinished event at the end: passes, unless it is a payment event', () => {
  expect(filter('data: 1\n\ndata: unfinished').passed).toBe('data: 1\n\ndata: unfinished')
  const { passed, events } = filter('data: 1\n\nevent: payment-receipt\ndata: {}\n')
  expect(passed).toBe('data: 1\n\n')
  expect(events).toEqual([{ name: 'payment-receipt', data: '{}' }])
})

test('an endless event passes, and is not kept', () => {
  const huge = `data: ${'x'.repeat(3 << 20)}`
  const { steps, passed } = filter(`${huge}\n\ndata: 2\n\n`, [1 << 20, (1 << 20) + 100, 2 << 20])
  expect(steps[1]?.length).toBeGreaterThan(1 << 20)
  expect(passed).toBe(`${huge}\n\ndata: 2\n\n`)
})

test('any stream without payment events passes byte for byte, however it is cut', () => {
  const piece = fc.constantFrom(
    '\n',
    '\r',
    '\r\n',
    'data: a',
    'event: message',
    ':',
    'ü😀',
    'event: payment',
    '\n\n',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), fc.array(fc.nat(), { maxLength: 10 }), (pieces, cuts) => {
      const text = pieces.join('')
      expect(filter(text, cuts).passed).toBe(text)
    }),
    { numRuns: 1_000 },
  )
})

test('chunk boundaries change nothing', () => {
  const piece = fc.constantFrom(
    '\n',
    '\r',
    '\r\n',
    '\n\n',
    '\r\n\r\n',
    'data: a\n',
    'event: payment-receipt',
    'event: payment-receipt\ndata: {}\n\n',
    'event: payment-need-voucher\r\n\r\n',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), fc.array(fc.nat(), { maxLength: 10 }), (pieces, cuts) => {
      const text = pieces.join('')
      const [whole, cut] = [filter(text), filter(text, cuts)]
      expect(cut.passed).toBe(whole.passed)
      expect(cut.events).toEqual(whole.events)
    }),
    { numRuns: 1_000 },
  )
})
