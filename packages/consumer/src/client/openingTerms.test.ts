import { LimitExceededError } from '@drain/core'
import { expect, test } from 'vitest'
import * as Limits from './Limits.ts'
import { openingTerms } from './openingTerms.ts'

const limits = Limits.parse({ perRequest: '1', perChannel: '5' })
const day = 86_400n
const given = { quote: 1_000n, terms: {}, limits, committed: 0n }

test('a deposit for a thousand requests, a day long', () => {
  expect(openingTerms(given)).toEqual({ deposit: 1_000_000n, duration: day })
})

test('at least what the provider wants, at most the limit', () => {
  expect(openingTerms({ ...given, terms: { minDeposit: 2_000_000n } }).deposit).toBe(2_000_000n)
  expect(openingTerms({ ...given, quote: 100_000n }).deposit).toBe(5_000_000n)
  expect(() => openingTerms({ ...given, terms: { minDeposit: 6_000_000n } })).toThrow(
    /A channel needs 6\.000000 USDC, the limit per channel is 5\.000000 USDC/,
  )
  expect(() => openingTerms({ ...given, quote: 5_000_001n })).toThrow(LimitExceededError)
})

test('what a provider holds already counts for its limit', () => {
  const perProvider = { ...limits, perProvider: 6_000_000n }
  const expensive = { ...given, quote: 100_000n, limits: perProvider }
  expect(openingTerms({ ...expensive, committed: 5_000_000n }).deposit).toBe(1_000_000n)
  expect(() => openingTerms({ ...expensive, committed: 5_950_000n })).toThrow(
    /needs 0\.100000 USDC; of the limit per provider, 6\.000000 USDC, 0\.050000 USDC is left/,
  )
  expect(() => openingTerms({ ...expensive, committed: 9_000_000n })).toThrow(LimitExceededError)
})

test('a request that costs nothing opens nothing without a minimum', () => {
  expect(() => openingTerms({ ...given, quote: 0n })).toThrow(LimitExceededError)
  expect(openingTerms({ ...given, quote: 0n, terms: { minDeposit: 1n } }).deposit).toBe(1n)
})

test('the provider’s duration, within its bounds and the limit', () => {
  const duration = (terms: object, longest = day) =>
    openingTerms({ ...given, terms, limits: { ...limits, duration: longest } }).duration
  expect(duration({ recommendedDuration: 3_600n })).toBe(3_600n)
  expect(duration({ recommendedDuration: 30n * day })).toBe(day)
  expect(duration({ recommendedDuration: 30n * day }, 90n * day)).toBe(30n * day)
  expect(duration({ recommendedDuration: 60n, minDuration: 600n })).toBe(600n)
  expect(duration({ maxDuration: 900n })).toBe(900n)
  expect(duration({ maxDuration: 1n })).toBe(600n)
  expect(duration({ maxDuration: 1n }, 60n)).toBe(60n)
  expect(duration({}, 400n * day)).toBe(day)
  expect(() => duration({ minDuration: 2n * day })).toThrow(/wants channels of at least 2d, the limit is 1d/)
})
