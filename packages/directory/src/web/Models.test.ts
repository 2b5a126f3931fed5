import { expect, test } from 'vitest'
import { aProvider } from '../../test/aProvider.ts'
import type { Model, ProviderRecord } from '../Provider.ts'
import { createModels } from './Models.ts'
import { lastDays } from './parts/days.ts'
import { cheaperFirst, isFlat, usdc } from './parts/price.ts'
import { share } from './parts/status.ts'
import { duration, latency } from './parts/time.ts'

const model = (inputPer1kTokens: string | null, outputPer1kTokens: string | null, id = 'm'): Model => ({
  ...{ id, name: id, inputPer1kTokens, outputPer1kTokens },
})
const shop = (
  id: string,
  models: readonly Model[],
  status: ProviderRecord['health']['status'] = 'online',
) => {
  const { offer, health, ...rest } = aProvider({ id })
  return { ...rest, offer: { ...offer, models }, health: { ...health, status }, revision: 1 }
}

test('prices are compared exactly, flat ones too, and those that are none come last', () => {
  const models = [
    model('dear', '0'),
    model('0.000000000000000002', null),
    model('0.1', '0.2'),
    model('0.000000000000000001', '0'),
    model(null, null),
    model('0.3', '0'),
  ]
  expect(models.sort(cheaperFirst).map(({ inputPer1kTokens }) => inputPer1kTokens)).toEqual([
    ...['0.000000000000000001', '0.000000000000000002', '0.1', '0.3'],
    ...['dear', null],
  ])
  expect([isFlat(model('1', null)), isFlat(model('1', '0.00')), isFlat(model('1', '0.1'))]).toEqual([
    true,
    true,
    false,
  ])
  expect(['0.10', '007', '1.000', '-1', '1e3', '', null].map(usdc)).toEqual([
    ...['0.1', '7', '1', 'not known', 'not known', 'not known', 'not known'],
  ])
})

test('those that answer come before those that are cheap, and a change is seen', () => {
  const snapshot: { listed: readonly ProviderRecord[] } = {
    listed: [
      shop('down', [model('0.1', '0')], 'offline'),
      shop('dear', [model('0.3', '0'), model('1', '0', 'rare')]),
      shop('cheap', [model('0.2', '0')], 'degraded'),
    ],
  }
  const models = createModels(snapshot)
  expect(models.all().map(({ id }) => id)).toEqual(['m', 'rare'])
  expect(models.get('m')?.offerings.map(({ record }) => record.id)).toEqual(['cheap', 'dear', 'down'])
  expect(models.get('__proto__')).toBeUndefined()
  snapshot.listed = []
  expect(models.all()).toEqual([])
})

test('an uptime is never rounded up to a hundred, and days without probes are gaps', () => {
  expect([share(0.99999), share(1), share(0), share(null), share(7)]).toEqual([
    ...['99.99 %', '100 %', '0.00 %', 'not known', '100 %'],
  ])
  const day = 86_400_000
  const now = 10 * day + 5
  const hour = { reached: 2, correct: 1, p95Ms: null }
  const days = lastDays(
    [
      { ...hour, hour: 9 * day, probes: 2, medianMs: 10 },
      { ...hour, hour: 9 * day + 3_600_000, probes: 3, medianMs: 30 },
      { ...hour, hour: 2 * day, probes: 9, medianMs: 1 },
    ],
    now,
    3,
  )
  expect(days.map(({ at, probes, medianMs }) => [at / day, probes, medianMs])).toEqual([
    [8, 0, null],
    [9, 5, 30],
    [10, 0, null],
  ])
})

test('times are words', () => {
  expect([latency(null), latency(12.4), latency(1_250), latency(12_500)]).toEqual([
    ...['not known', '12 ms', '1.3 s', '13 s'],
  ])
  expect([duration(1), duration(90), duration(3_600), duration(7 * 86_400)]).toEqual([
    ...['1 second', '90 seconds', '1 hour', '7 days'],
  ])
})
