import { expect, test } from 'vitest'
import { lazily } from './lazily.ts'

test('loads once, when it is asked for, and again after a failure', async () => {
  let loads = 0
  const load = lazily(async () => {
    loads++
    if (loads === 1) throw new Error('offline')
    return loads
  })
  expect(loads).toBe(0)
  await expect(load()).rejects.toThrow('offline')
  expect(await Promise.all([load(), load()])).toEqual([2, 2])
  expect(await load()).toBe(2)
})
