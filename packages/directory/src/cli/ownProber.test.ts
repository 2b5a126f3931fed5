import { describe, expect, it } from 'vitest'
import { databases } from '../../test/databases.ts'
import { ownProber } from './ownProber.ts'

describe.each(databases)('a prober without a key of its own, on $name', ({ isThere, use }) => {
  describe.skipIf(!isThere)('kept', () => {
    const open = use()

    it('is the same for all instances that start at once, and another elsewhere', async () => {
      const [one, other] = [await open(), await open()]
      const probers = await Promise.all(Array.from({ length: 8 }, () => ownProber(one)))
      expect(new Set(probers.map(({ address }) => address)).size).toBe(1)
      expect((await ownProber(other)).address).not.toBe(probers[0]?.address)
      await Promise.all([one.close(), other.close()])
    })
  })
})
