import { expect, test } from 'vitest'
import { serverClock } from './serverClock.ts'

const hour = 3_600_000

/** A clock that has been asked, and is far from the local one. */
function aClock() {
  const clock = serverClock()
  clock.observe(hour, performance.now())
  expect(clock.now()).toBeGreaterThanOrEqual(hour)
  expect(clock.now()).toBeLessThan(2 * hour)
  return clock
}

test('an answer that took long does not set it back', () => {
  const clock = aClock()
  const before = clock.now()
  // Its statement looked at the clock at once, and then waited for five seconds.
  clock.observe(before - 5000, performance.now() - 5000)
  expect(clock.now()).toBeGreaterThanOrEqual(before)
})

test('an answer that shows it behind sets it forward', () => {
  const clock = aClock()
  clock.observe(2 * hour, performance.now() - 5000)
  expect(clock.now()).toBeGreaterThanOrEqual(2 * hour)
})

test('it follows a server whose clock was set back', () => {
  const clock = aClock()
  clock.observe(1000, performance.now())
  expect(clock.now()).toBeGreaterThanOrEqual(1000)
  expect(clock.now()).toBeLessThan(hour)
})
