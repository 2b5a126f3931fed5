/** A short soak: the long one is `npm run soak`. */
import { expect, test } from 'vitest'
import { soak } from '../soak.ts'
import { table } from '../table.ts'

test('after kills, reorganisations and leaps in time, the books balance to the unit', {
  timeout: 600_000,
}, async () => {
  const report = await soak({
    minutes: 0.75,
    seed: 8_190,
    consumers: 20,
    gap: { from: 300, to: 2_500 },
    print: (line) => console.log(line),
  })
  console.log(table(report))
  expect(report.problems).toEqual([])
  // It was no empty balance.
  expect(report.balance?.claimed).toBeGreaterThan(0n)
  expect(report.balance?.refunded).toBeGreaterThan(0n)
  // Nor was it a quiet run.
  for (const whats of [
    ['disturbed: killServer'],
    ['disturbed: killWorker'],
    ['disturbed: reorganise'],
    ['disturbed: leap'],
    ['close settled', 'close signed'],
    ['taken back at the expiry: success'],
  ]) {
    const count = whats.reduce((sum, what) => sum + (report.counts.get(what) ?? 0), 0)
    expect(count, whats.join(' or ')).toBeGreaterThan(0)
  }
})
