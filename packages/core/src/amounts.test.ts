import fc from 'fast-check'
import { expect, test } from 'vitest'
import * as Duration from './Duration.ts'
import { InvalidAmountError, InvalidDurationError } from './Errors.ts'
import * as Pricing from './Pricing.ts'
import * as Usdc from './Usdc.ts'

test.each([
  ['0', 0n],
  ['10', 10_000_000n],
  ['10.50', 10_500_000n],
  ['0.000001', 1n],
  ['1.0000000', 1_000_000n],
])('parses %s USDC', (text, amount) => {
  expect(Usdc.parse(text)).toBe(amount)
})

test.each([
  '0.0000001',
  '-1',
  '+1',
  '1e6',
  '1E-3',
  '0x10',
  ' 1',
  '1 ',
  '',
  '.5',
  '5.',
  '1,5',
  '1_000',
  '01',
  'NaN',
  'Infinity',
  '١',
  '9'.repeat(80),
  '1'.repeat(200),
  '1.5.5',
  '１',
])('refuses %j', (text) => {
  expect(() => Usdc.parse(text)).toThrow(InvalidAmountError)
})

test.each([1, 1n, null, undefined, {}, ['1']])('refuses %s, which is no string', (value) => {
  expect(() => Usdc.parse(value as never)).toThrow(InvalidAmountError)
})

test('parse and format are inverse', () => {
  fc.assert(
    fc.property(fc.bigInt(0n, 2n ** 256n - 1n), (amount) => {
      expect(Usdc.parse(Usdc.format(amount))).toBe(amount)
      expect(Usdc.parse(Usdc.display(amount).replace(' USDC', ''))).toBe(amount)
    }),
  )
})

test('displays six decimals and the unit', () => {
  expect(Usdc.display(4_200n)).toBe('0.004200 USDC')
  expect(Usdc.display(-1_500_000n)).toBe('-1.500000 USDC')
  expect(Usdc.format(10_500_000n)).toBe('10.5')
  expect(Usdc.format(-1n)).toBe('-0.000001')
})

test.each([
  [3600, 3600n],
  [60n, 60n],
  ['90', 90n],
  ['90s', 90n],
  ['30m', 1_800n],
  ['24h', 86_400n],
  ['7d', 604_800n],
])('parses the duration %s', (value, seconds) => {
  expect(Duration.parse(value)).toBe(seconds)
})

test.each([
  0,
  -1,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  2 ** 60,
  0n,
  -1n,
  2n ** 255n,
  '',
  '1.5h',
  '1w',
  'h',
  '-1h',
  '1 h',
  '1H',
  '0d',
])('refuses the duration %s', (value) => {
  expect(() => Duration.parse(value)).toThrow(InvalidDurationError)
})

test('formats durations in two units', () => {
  expect(Duration.format(90_061n)).toBe('1d 1h')
  expect(Duration.format(59n)).toBe('59s')
  expect(Duration.format(0n)).toBe('0s')
})

test('a markup is exact and advertised as charged', () => {
  const pricing = Pricing.withMarkup(
    Pricing.perToken({ inputPer1k: '0.0000375', outputPer1k: '0.0003' }),
    1_234,
  )
  const listed = Pricing.toJson(pricing)
  expect(listed).toMatchObject({ inputPer1kTokens: '0.0000421275', outputPer1kTokens: '0.00033702' })
  expect(Pricing.fromJson(listed)).toEqual(pricing)
  const usage = { inputTokens: 1_000_000, outputTokens: 1_000_000 }
  expect(Pricing.cost(pricing, usage)).toBe(379_148n) // 42,127.5 + 337,020, rounded up once
})

test('a markup finer than a rate is refused, not rounded', () => {
  const twice = Pricing.withMarkup(Pricing.flat('0.00000000000001'), 1)
  expect(() => Pricing.withMarkup(twice, 1)).toThrow(InvalidAmountError)
  expect(() => Pricing.withMarkup(Pricing.flat('1'), 0.5)).toThrow(InvalidAmountError)
})

test('every kind of pricing survives its listed form', () => {
  for (const pricing of [
    Pricing.perToken({ inputPer1k: '0.0025', outputPer1k: '0.01' }),
    Pricing.perToken({ inputPer1k: '0.0025', outputPer1k: '0', defaultMaxTokens: 5 }),
    Pricing.flat('0.01'),
    Pricing.perUnit('0.04', 'image'),
    Pricing.perMinute('0.006'),
  ]) {
    expect(Pricing.fromJson(JSON.parse(JSON.stringify(Pricing.toJson(pricing))))).toEqual(pricing)
  }
})

test('a cost rounds up once, however the use is made up', () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.nat(),
      fc.nat(10 ** 9),
      fc.nat(10 ** 9),
      (inputPer1k, outputPer1k, inputTokens, outputTokens) => {
        const pricing = {
          type: 'tokens',
          inputPer1k: BigInt(inputPer1k),
          outputPer1k: BigInt(outputPer1k),
          defaultMaxTokens: 1,
        } as const
        const exact = BigInt(inputPer1k) * BigInt(inputTokens) + BigInt(outputPer1k) * BigInt(outputTokens)
        const charged = Pricing.cost(pricing, { inputTokens, outputTokens }) * 10n ** 15n
        expect(charged >= exact && charged - exact < 10n ** 15n).toBe(true)
      },
    ),
  )
})

test.each([
  { inputTokens: -1, outputTokens: 1 },
  { inputTokens: 1.5, outputTokens: 1 },
  { inputTokens: 1 },
  {},
])('refuses the usage %j', (usage) => {
  expect(() => Pricing.cost(Pricing.perToken({ inputPer1k: '1', outputPer1k: '1' }), usage)).toThrow(
    InvalidAmountError,
  )
})
