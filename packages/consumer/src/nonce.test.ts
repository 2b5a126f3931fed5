import { Voucher } from '@drain/core'
import { expect, test } from 'vitest'
import { nextNonce } from './nonce.ts'

test('counts by one, so that parallel vouchers stay within a provider’s window', () => {
  const now = Date.UTC(2026, 0, 1)
  const first = nextNonce(undefined, now)
  expect(nextNonce(first, now + 60_000)).toBe(first + 1n)
})

test('a process that remembers nothing starts above an earlier one, up to a million vouchers a second', () => {
  const first = nextNonce(undefined, Date.UTC(2026, 0, 1))
  const nextSecond = nextNonce(undefined, Date.UTC(2026, 0, 1) + 1_000)
  expect(nextSecond - first).toBe(1_000_000n)
})

test('fits for some thousand years', () => {
  expect(nextNonce(undefined, Date.UTC(9999, 0, 1))).toBeLessThan(Voucher.maxNonce)
  expect(nextNonce(undefined, 0.5)).toBe(0n)
})
