import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { aProvider } from '../../test/aProvider.ts'
import { databases } from '../../test/databases.ts'
import type { Database } from './Database.ts'
import { createProviders, type Providers } from './Providers.ts'

describe.each(databases)('providers on $name', ({ isThere, use }) => {
  describe.skipIf(!isThere)('kept', () => {
    const open = use()
    let database: Database
    let providers: Providers

    beforeEach(async () => {
      database = await open()
      providers = createProviders(database)
    })
    afterEach(() => database.close())

    it('are as they were given', async () => {
      const given = aProvider({ id: 'one', apiUrl: 'https://one.example' })
      const added = await providers.add(given)
      expect(added).toEqual({ ...given, revision: 1 })
      expect(await providers.get('one')).toEqual(added)
      expect(await providers.at('https://one.example')).toEqual(added)
      expect(await providers.get('two')).toBeUndefined()
    })

    it('get another id where theirs is taken', async () => {
      const urls = ['https://1.example', 'https://2.example', 'https://3.example']
      const ids = []
      for (const apiUrl of urls) ids.push((await providers.add(aProvider({ id: 'same', apiUrl })))?.id)
      expect(ids).toEqual(['same', 'same-2', 'same-3'])
    })

    it('have a URL alone, also when 20 come at once', async () => {
      const all = Array.from({ length: 20 }, (_, index) =>
        providers.add(aProvider({ id: `p${index}`, apiUrl: 'https://one.example' })),
      )
      const added = (await Promise.all(all)).filter((one) => one !== undefined)
      expect(added).toHaveLength(1)
      await providers.update(added[0]?.id as string, () => ({ state: 'withdrawn' }))
      expect(await providers.add(aProvider({ id: 'next', apiUrl: 'https://one.example' }))).toBeDefined()
    })

    it('can’t be given the URL of another', async () => {
      await providers.add(aProvider({ id: 'one', apiUrl: 'https://one.example' }))
      await providers.add(aProvider({ id: 'two', apiUrl: 'https://two.example' }))
      expect(await providers.update('two', () => ({ apiUrl: 'https://one.example' }))).toBeUndefined()
      expect((await providers.get('two'))?.apiUrl).toBe('https://two.example')
    })

    it('change without losing what others change at the same time', async () => {
      await providers.add(aProvider({ id: 'one', score: 0 }))
      const changes = Array.from({ length: 12 }, () =>
        providers.update('one', ({ score }) => ({ score: score + 1 })),
      )
      await Promise.all(changes)
      expect((await providers.get('one'))?.score).toBe(12)
    })

    it('tell in which order they changed', async () => {
      for (const id of ['a', 'b', 'c'])
        await providers.add(aProvider({ id, apiUrl: `https://${id}.example` }))
      const before = await providers.revision()
      await providers.update('b', () => ({ score: 0.9 }))
      await providers.update('a', () => undefined)
      const changed = await providers.changedSince(before, 10)
      expect(changed.map(({ id }) => id)).toEqual(['b'])
      expect(await providers.revision()).toBe(before + 1)
    })

    it('are taken for a probe by one of several', async () => {
      for (let number = 0; number < 10; number++) {
        const apiUrl = `https://${number}.example`
        await providers.add(aProvider({ id: `p${number}`, apiUrl, state: 'approved', nextProbeAt: number }))
      }
      const rounds = await Promise.all([1, 2, 3, 4].map(() => providers.takeDue(8, 60_000, 4)))
      const taken = rounds.flat().map(({ id }) => id)
      expect(new Set(taken).size).toBe(taken.length)
      expect(taken).toHaveLength(9)
      expect(await providers.takeDue(8, 60_000, 10)).toEqual([])
    })
  })
})
