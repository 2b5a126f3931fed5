/** What is counted by hand reads as the library would have written it. */
import { Histogram, Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { createDurations } from './Durations.ts'

const about = { name: 'drain_test_seconds', help: 'Seconds of a test.', buckets: [0.001, 0.25, 1] }
const seconds = [0, 0.0005, 0.001, 0.0011, 0.25, 0.75, 1, 1.5, 20]

test('without a label', async () => {
  const registry = new Registry()
  const theirs = new Histogram({ ...about, registers: [registry] })
  const ours = createDurations(about)
  expect(ours.text()).toBe(await registry.metrics())
  for (const one of seconds) {
    theirs.observe(one)
    ours.observe(one)
  }
  expect(ours.text()).toBe(await registry.metrics())
})

test('with a label', async () => {
  const registry = new Registry()
  const theirs = new Histogram({ ...about, labelNames: ['step'], registers: [registry] })
  const ours = createDurations({ ...about, label: 'step' })
  for (const [index, one] of seconds.entries()) {
    const step = index % 3 ? 'reserve' : 'capture'
    theirs.observe({ step }, one)
    ours.observe(one, step)
  }
  expect(ours.text()).toBe(await registry.metrics())
})
