import { describe, expect, test } from 'vitest'
import { noHealth } from '../Provider.ts'
import { healthOf } from './healthOf.ts'
import type { ProberSums } from './readProbers.ts'
import { hourMs } from './recordProbe.ts'

const now = Date.UTC(2030, 0, 10, 12)

/** A prober that saw these outcomes lately. */
function saw(outcomes: string, changes: Partial<ProberSums> = {}): ProberSums {
  const count = (letters: string) => [...outcomes].filter((letter) => letters.includes(letter)).length
  const sums = { probes: outcomes.length, reached: count('cr'), correct: count('c') }
  return {
    ...{ prober: '0xaa', week: sums, month: sums, outcomes, reportedAt: now, latencyMs: 100 },
    day: { ...sums, latencies: Array.from({ length: sums.reached }, () => 100) },
    firstHour: now - hourMs,
    lastCorrectHour: sums.correct > 0 ? now - hourMs : null,
    ...changes,
  }
}

const health = (...probers: ProberSums[]) =>
  healthOf(probers, { now, probeEveryMs: 300_000, before: noHealth })

describe('the status', () => {
  test.each([
    ['c', 'online'],
    ['nnc', 'online'],
    ['cr', 'degraded'],
    ['cn', 'degraded'],
    ['rn', 'degraded'],
    ['rrr', 'degraded'],
    ['cnn', 'offline'],
    ['n', 'offline'],
  ])('after %s is %s', (outcomes, status) => {
    expect(health(saw(outcomes)).status).toBe(status)
  })

  test('of one that answers slowly is degraded, and it says so', () => {
    const slow = saw('ccc', { day: { probes: 3, reached: 3, correct: 3, latencies: [100, 3_100, 4_000] } })
    expect(health(slow)).toMatchObject({
      status: 'degraded',
      medianMs: 3_100,
      problem: 'Half of its answers took longer than 3.1 s.',
    })
  })

  test('of one that has answered wrongly for a day is offline', () => {
    expect(health(saw('rr', { firstHour: now - 25 * hourMs })).status).toBe('offline')
    expect(
      health(saw('crr', { firstHour: now - 48 * hourMs, lastCorrectHour: now - 25 * hourMs })).status,
    ).toBe('offline')
    expect(
      health(saw('crr', { firstHour: now - 48 * hourMs, lastCorrectHour: now - 24 * hourMs })).status,
    ).toBe('degraded')
  })

  test('is what most probers say: one that lies changes nothing', () => {
    expect(health(saw('cc'), saw('cc'), saw('nn')).status).toBe('online')
    expect(health(saw('nn'), saw('nn'), saw('cc')).status).toBe('offline')
    expect(health(saw('cc'), saw('nn')).status).toBe('degraded')
  })

  test('forgets a prober that went silent while others go on', () => {
    expect(health(saw('cc'), saw('nn', { reportedAt: now - 2 * hourMs })).status).toBe('online')
  })
})

test('the problem is that of now, not of before', () => {
  const before = { ...noHealth, problem: 'Nobody answered.' }
  const slow = saw('nc', { day: { probes: 2, reached: 1, correct: 1, latencies: [5_000] } })
  expect(healthOf([slow], { now, probeEveryMs: 300_000, before }).problem).toContain('5.0 s')
  expect(healthOf([saw('cn')], { now, probeEveryMs: 300_000, before }).problem).toBe('Nobody answered.')
  expect(healthOf([saw('nc')], { now, probeEveryMs: 300_000, before }).problem).toBe('')
})

test('without reports everything stays as it was', () => {
  const before = { ...noHealth, status: 'online' as const, lastChecked: 5 }
  expect(healthOf([], { now, probeEveryMs: 300_000, before })).toEqual(before)
})

test('latencies and uptimes are medians of the probers’', () => {
  const of = (latencies: number[], correct: number) =>
    saw('c', {
      day: { probes: 4, reached: 4, correct, latencies },
      month: { probes: 8, reached: 8, correct: correct * 2 },
    })
  expect(health(of([10, 20, 30], 4), of([40, 50, 60], 3), of([2_000, 2_000, 2_000], 0))).toMatchObject({
    ...{ medianMs: 50, p95Ms: 60, uptimeDay: 0.75, uptimeMonth: 0.75, problem: '' },
  })
})
