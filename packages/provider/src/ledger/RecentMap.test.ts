import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RecentMap } from './RecentMap.ts'

describe('RecentMap', () => {
  test('whatever is done with it: it never holds too much, and never says what is not so', () => {
    const key = fc.nat(60)
    const step = fc.oneof(
      fc.record({ op: fc.constant('set'), key }),
      fc.record({ op: fc.constant('get'), key }),
      fc.record({ op: fc.constantFrom('delete', 'clear'), key }),
    )
    fc.assert(
      fc.property(
        fc.integer({ min: 4, max: 40 }),
        fc.array(step, { maxLength: 400, size: 'max' }),
        (limit, steps) => {
          const map = new RecentMap<number, number>(limit)
          const truth = new Map<number, number>()
          for (const [index, { op, key }] of steps.entries()) {
            if (op === 'set') {
              map.set(key, index)
              truth.set(key, index)
              expect(map.get(key)).toBe(index)
            } else if (op === 'delete') {
              map.delete(key)
              truth.delete(key)
            } else if (op === 'clear' && key === 0) {
              map.clear()
              truth.clear()
            }
            const found = map.get(key)
            if (found !== undefined) expect(found).toBe(truth.get(key))
            expect(map.size).toBeLessThanOrEqual(limit)
          }
        },
      ),
    )
  })

  test('keeps who comes again, however many come once', () => {
    const map = new RecentMap<string, number>(1000)
    for (let round = 0; round < 200; round++) {
      for (let regular = 0; regular < 50; regular++) {
        if (round > 30) expect(map.get(`regular ${regular}`)).toBe(regular)
        map.set(`regular ${regular}`, regular)
      }
      for (let visitor = 0; visitor < 60; visitor++) map.set(`visitor ${round} ${visitor}`, visitor)
    }
  })

  test('holds as many as it may', () => {
    const map = new RecentMap<number, number>(10_000)
    for (let round = 0; round < 3; round++) for (let key = 0; key < 4000; key++) map.set(key, key)
    for (let key = 0; key < 4000; key++) expect(map.get(key)).toBe(key)
  })
})
