import fc from 'fast-check'
import type { Hex } from 'viem'
import { describe, expect, test } from 'vitest'
import { InvalidFormatError, InvalidRequestError } from './Errors.ts'
import * as Headers from './Headers.ts'
import * as Pricing from './Pricing.ts'
import * as Quote from './Quote.ts'
import * as Voucher from './Voucher.ts'

const channelId = `0x${'ab'.repeat(32)}` as Hex
const signature = `0x${'12'.repeat(65)}` as Hex
const voucher = { channelId, amount: 1_000_000n, nonce: 1n, signature }
const header = Voucher.toHeader(voucher)

const headersOf = (entries: Record<string, string>) => new globalThis.Headers(entries)

describe('a voucher in a header', () => {
  test('comes back as it was', () => {
    expect(header).toBe(
      `{"channelId":"${channelId}","amount":"1000000","nonce":"1","signature":"${signature}"}`,
    )
    expect(Voucher.fromHeader(header)).toEqual(voucher)
  })

  test('has one form of its id, whatever the letter case', () => {
    expect(Voucher.fromHeader(header.replace(channelId, `0x${'AB'.repeat(32)}`)).channelId).toBe(channelId)
  })

  test('may have its keys in another order, and white space', () => {
    const text = JSON.stringify({ signature, nonce: '1', amount: '1000000', channelId }, null, 1)
    expect(Voucher.fromHeader(text)).toEqual(voucher)
  })

  const change = (fields: Record<string, unknown>) =>
    JSON.stringify({ channelId, amount: '1', nonce: '1', signature, ...fields })

  test.each([
    ['', 'nothing'],
    ['null', 'null'],
    ['[]', 'an array'],
    ['"x"', 'a string'],
    [header.slice(1), 'cut off in front'],
    [header.slice(0, -1), 'cut off behind'],
    [header.replace('{', '{"amount":"2",'), 'a key twice'],
    [change({ extra: '1' }), 'a fifth key'],
    [JSON.stringify({ channelId, amount: '1', nonce: '1' }), 'three keys'],
    [change({ amount: 1 }), 'a number for a string'],
    [change({ amount: '-1' }), 'a sign'],
    [change({ amount: '+1' }), 'a plus'],
    [change({ amount: '1e3' }), 'an exponent'],
    [change({ amount: '01' }), 'a leading zero'],
    [change({ amount: '1.0' }), 'a fraction'],
    [change({ amount: '0x1' }), 'hex'],
    [change({ amount: '' }), 'an empty amount'],
    [change({ amount: ' 1' }), 'a space'],
    [change({ amount: (2n ** 256n).toString() }), 'an amount over uint256'],
    [change({ nonce: (2n ** 63n).toString() }), 'a nonce of 2^63'],
    [change({ channelId: channelId.slice(0, -2) }), 'a short id'],
    [change({ channelId: `${channelId}00` }), 'a long id'],
    [change({ channelId: channelId.replace('0x', '0X') }), 'a 0X prefix'],
    [change({ signature: '0x' }), 'an empty signature'],
    [change({ signature: '0x123' }), 'half a byte'],
    [header.replace('amount', '\\u0061mount'), 'an escape'],
    [header.padEnd(4_097), 'more than 4 KiB'],
  ])('is refused: %#', (text) => {
    expect(() => Voucher.fromHeader(text)).toThrow(InvalidFormatError)
  })

  test('anything else is refused with the one error', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), fc.string({ unit: 'binary' })), (text) => {
        expect(() => Voucher.fromHeader(text)).toThrow(InvalidFormatError)
      }),
    )
  })
})

describe('the payment of a request', () => {
  test.each(Headers.names.voucher)('is read from %s', (name) => {
    expect(Headers.parseVoucher(headersOf({ [name]: header }))).toEqual({ ok: true, voucher })
  })

  test('may stand in both headers when they are identical', () => {
    const both = headersOf({ 'X-DRAIN-Voucher': header, 'X-Payment-Voucher': header })
    expect(Headers.parseVoucher(both)).toMatchObject({ ok: true })
  })

  test('is required', () => {
    expect(Headers.parseVoucher(headersOf({}))).toMatchObject({ ok: false, code: 'voucher_required' })
  })

  const repeated = headersOf({ 'X-DRAIN-Voucher': header })
  repeated.append('X-DRAIN-Voucher', header)
  test.each([
    [
      'two that differ',
      headersOf({ 'X-DRAIN-Voucher': header, 'X-Payment-Voucher': ` ${header.replace('"1"', '"2"')}` }),
    ],
    ['a repeated header', repeated],
    [
      'a voucher beside Authorization: Payment',
      headersOf({ 'X-DRAIN-Voucher': header, Authorization: 'Payment abc' }),
    ],
  ])('must be one: %s', (_, headers) => {
    expect(Headers.parseVoucher(headers)).toMatchObject({ ok: false, code: 'multiple_payments' })
  })

  test('goes with an ordinary authorization', () => {
    const headers = headersOf({ 'X-DRAIN-Voucher': header, Authorization: 'Bearer payment' })
    expect(Headers.parseVoucher(headers)).toMatchObject({ ok: true })
  })
})

describe('answers in both header families', () => {
  test('costs', () => {
    const headers = headersOf({})
    const costs = { channelId, cost: 1n, total: 20n, remaining: 300n }
    Headers.writeCosts(headers, costs)
    expect(headers.get('x-payment-total')).toBe('20')
    expect(headers.get('x-drain-remaining')).toBe('300')
    expect(Headers.parseCosts(headers)).toEqual(costs)
    headers.set('X-DRAIN-Cost', '-1')
    expect(Headers.parseCosts(headers)).toBeUndefined()
  })

  test('a refusal for funds measures this request in one family and the channel in the other', () => {
    const headers = headersOf({})
    const rejection = {
      code: 'insufficient_funds',
      required: 5n,
      provided: 2n,
      requiredCumulative: 105n,
      providedCumulative: 102n,
    } as const
    Headers.writeRejection(headers, { ...rejection, message: 'no header carries this' })
    expect(Object.fromEntries(headers)).toEqual({
      'x-drain-error': 'insufficient_funds',
      'x-payment-error': 'insufficient_funds',
      'x-drain-required': '5',
      'x-drain-provided': '2',
      'x-payment-required': '105',
      'x-payment-provided': '102',
    })
    expect(Headers.parseRejection(headers)).toEqual(rejection)
  })

  test('an offer', () => {
    const headers = headersOf({})
    const offer = {
      provider: '0x00000000000000000000000000000000000000aa',
      contract: '0x00000000000000000000000000000000000000bb',
      chainId: 137,
      signing: 'https://a.example/v1/signing',
      docs: 'https://a.example/v1/docs',
      features: ['claimAndClose'],
    } as const
    Headers.writeOffer(headers, offer)
    expect(headers.get('x-payment-protocol')).toBe('drain-v2')
    expect(Headers.parseOffer(headers)).toEqual(offer)
    headers.set('X-Payment-Chain', '137x')
    expect(Headers.parseOffer(headers)).toBeUndefined()
  })
})

describe('a quote', () => {
  test('is refused for what is nested too deeply to be written', () => {
    const deep = JSON.parse(`{"messages":[${'['.repeat(50_000)}${']'.repeat(50_000)}]}`)
    expect(() => Quote.chat(pricing, deep)).toThrow(InvalidRequestError)
  })

  const pricing = Pricing.perToken({ inputPer1k: '1', outputPer1k: '1' })
  test.each([
    null,
    1,
    'x',
    [],
    {},
    { messages: {} },
    { messages: [] },
    { messages: 'hello' },
    { messages: [{}], max_tokens: 0 },
    { messages: [{}], max_tokens: -1 },
    { messages: [{}], max_tokens: 1.5 },
    { messages: [{}], max_tokens: '5' },
    { messages: [{}], max_tokens: 1e300 },
    { messages: [{}], n: 0 },
    { messages: [{}], n: 1e9 },
    { messages: [{}], max_tokens: {} },
  ])('is refused for %j', (body) => {
    expect(() => Quote.chat(pricing, body)).toThrow(InvalidRequestError)
  })
})
