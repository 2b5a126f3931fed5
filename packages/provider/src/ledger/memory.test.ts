import { describe, expect, test } from 'vitest'
import { conformance } from './conformance/index.ts'
import { identity } from './fixtures.ts'
import { memoryLedger } from './memory.ts'

describe('memory', () =>
  conformance(({ clock, ...options }) => memoryLedger({ ...options, now: clock.now })(identity), {
    runs: 300,
  }))

test('says that it forgets', () => {
  const messages: string[] = []
  memoryLedger({ log: (message) => messages.push(message) })(identity)
  expect(messages).toHaveLength(1)
  expect(messages[0]).toContain('forgets')
})
