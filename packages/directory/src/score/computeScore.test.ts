import { Usdc } from '@drain/core'
import { describe, expect, test } from 'vitest'
import { noScore } from '../Provider.ts'
import { computeScore, type ScoreInput } from './computeScore.ts'
import { scoreText } from './scoreText.ts'

/** A prober's week. */
function week(
  probes: number,
  given: { reached?: number; correct?: number; ms?: number } = {},
): ScoreInput['probers'][number] {
  const { reached = probes, correct = reached, ms = 200 } = given
  const sums = { probes, reached, correct }
  return { week: sums, day: { ...sums, latencies: reached === 0 ? [] : [ms] } }
}

const score = (probers: ScoreInput['probers'], praised = '0', blamed = '0') =>
  computeScore({ probers, praised: Usdc.parse(praised), blamed: Usdc.parse(blamed) }).score

const aWeek = 7 * 24 * 12

test('before anything is known it is what new listings start with', () => {
  expect(computeScore({ probers: [], praised: 0n, blamed: 0n })).toEqual(noScore)
})

test('a newcomer that answers comes near 0.6, within days', () => {
  expect(score([week(1)])).toBeLessThan(0.35)
  expect(score([week(24 * 12)])).toBeGreaterThan(0.57)
  expect(score([week(aWeek)])).toBeCloseTo(0.6, 2)
})

test('praise lifts it near 1, proven blame sinks it below 0.3', () => {
  expect(score([week(aWeek)], '100')).toBeGreaterThan(0.98)
  expect(score([week(aWeek)], '0', '4')).toBeLessThan(0.3)
  expect(score([week(aWeek)], '0', '100')).toBeLessThan(0.21)
  expect(score([week(aWeek)], '1', '30')).toBeLessThan(0.3)
})

test('it is between 0 and 1, whatever happens', () => {
  const worst = score([week(10_000, { reached: 0 })], '0', '1000000')
  expect(worst).toBeGreaterThanOrEqual(0)
  expect(worst).toBeLessThan(0.05)
  expect(score([week(1e9, { ms: 1 })], '1000000000')).toBeLessThanOrEqual(1)
})

describe('probes', () => {
  test('more of them right is better', () => {
    const shares = [0, 500, 1_000, 1_500, aWeek].map((correct) => score([week(aWeek, { correct })]))
    expect(shares).toEqual([...shares].sort())
    const reached = [0, 500, 1_000, 1_500, aWeek].map((reached) => score([week(aWeek, { reached })]))
    expect(reached).toEqual([...reached].sort())
  })

  test('latency counts from 0.5 s to 10 s, by factors', () => {
    const latency = (ms: number) =>
      computeScore({ probers: [week(1e9, { ms })], praised: 0n, blamed: 0n }).scoreParts.latency
    expect(latency(1)).toBeCloseTo(1, 5)
    expect(latency(500)).toBeCloseTo(1, 5)
    expect(latency(Math.sqrt(500 * 10_000))).toBeCloseTo(0.5, 5)
    expect(latency(10_000)).toBeCloseTo(0, 5)
    expect(latency(60_000)).toBeCloseTo(0, 5)
  })

  test('one of three probers that lies changes nothing', () => {
    const honest = [week(aWeek), week(aWeek)]
    expect(score([...honest, week(aWeek, { reached: 0 })])).toBeCloseTo(score(honest), 10)
    const down = [week(aWeek, { reached: 0 }), week(aWeek, { reached: 0 })]
    expect(score([...down, week(aWeek)])).toBeCloseTo(score(down), 10)
  })
})

test('the text says the numbers that the code computes with', () => {
  expect(scoreText).toContain('score = P × (0.25 + F) ÷ 1.25')
  expect(scoreText).toContain('on yet comes to 0.60.')
  expect(scoreText).toContain('it sinks to 0.20 however')
  expect(scoreText).toContain('P = 0.4 × reachability + 0.4 × correctness + 0.2 × latency')
  expect(scoreText).toContain('up to 0.5 s, 0 from 10 s')
  expect(scoreText).toContain('K = 1 USDC')
  expect(scoreText).toContain('count for 90 days')
  expect(scoreText).toContain('12 more probes')
})
