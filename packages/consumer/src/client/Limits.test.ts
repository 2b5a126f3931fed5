import { InvalidAmountError, LimitExceededError } from '@drain/core'
import { expect, test } from 'vitest'
import * as Limits from './Limits.ts'

test('there is no client without limits', () => {
  expect(() => Limits.parse(undefined)).toThrow(/needs limits/)
  expect(() => Limits.parse({ perRequest: '1' } as Limits.LimitOptions)).toThrow(/needs limits/)
  expect(() => Limits.parse({ perRequest: '1', perChannel: '-1' })).toThrow(InvalidAmountError)
})

test('reads USDC and durations', () => {
  const options = { perRequest: '0.05', perChannel: '5', perProvider: '20', perDay: '10', undelivered: '1' }
  expect(Limits.parse({ ...options, duration: '7d' })).toEqual({
    perRequest: 50_000n,
    perChannel: 5_000_000n,
    perProvider: 20_000_000n,
    perDay: 10_000_000n,
    locked: 25_000_000n,
    undelivered: 1_000_000n,
    duration: 604_800n,
  })
})

test('what is not given has a default', () => {
  expect(Limits.parse({ perRequest: '0.05', perChannel: '5' })).toEqual({
    perRequest: 50_000n,
    perChannel: 5_000_000n,
    perProvider: 10_000_000n,
    perDay: 10_000_000n,
    locked: 25_000_000n,
    undelivered: 150_000n,
    duration: 86_400n,
  })
})

test('says both values', () => {
  const limits = Limits.parse({ perRequest: '0.05', perChannel: '5', perDay: '1' })
  expect(() => Limits.assertRequest(limits, 50_000n)).not.toThrow()
  expect(() => Limits.assertRequest(limits, 50_001n)).toThrow(
    /may cost 0\.050001 USDC.* limit per request is 0\.050000/,
  )
  expect(() => Limits.assertDay(limits, 990_000n, 10_000n)).not.toThrow()
  expect(() => Limits.assertDay(limits, 990_000n, 10_001n)).toThrow(LimitExceededError)
  // What was promised before may be used up on a day that is full.
  expect(() => Limits.assertDay(limits, 2_000_000n, 0n)).not.toThrow()
})
