import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { aSkill } from '../../test/aSkill.ts'
import { databases } from '../../test/databases.ts'
import type { Database } from '../store/Database.ts'
import { createSkills, draftKept, type SkillRecord, type Skills } from './Skills.ts'

describe.each(databases)('skills on $name', ({ use, isThere }) => {
  describe.skipIf(!isThere)('', () => {
    const open = use()
    let database: Database
    let skills: Skills
    beforeEach(async () => {
      database = await open()
      skills = createSkills(database, { mostOfAuthor: 3, mostDrafts: 5 })
    })
    afterEach(() => database?.close())

    const add = (author: string, signedAt: number, changes = {}, now = signedAt) =>
      skills.add({ author, definition: aSkill(changes), signedAt, now })

    test('keeps what was saved, under a name made of its title', async () => {
      const added = (await add('0xa', 5)) as SkillRecord
      expect(added).toMatchObject({ id: 'ask-one', author: '0xa', state: 'draft', signedAt: 5, createdAt: 5 })
      expect(await skills.get('ask-one')).toEqual(added)
      expect(added.definition).toEqual(aSkill())
      expect(await add('0xb', 5)).toMatchObject({ id: 'ask-one-2' })
      expect(await add('0xc', 5, { title: '<script>alert(1)</script>' })).toMatchObject({
        id: 'script-alert-1-script',
      })
      expect(await skills.get('nine')).toBeUndefined()
    })

    test('takes a signature once, and no older one', async () => {
      await add('0xa', 5)
      expect(await add('0xa', 5)).toBe('used')
      expect(await add('0xa', 4, { title: 'Other' })).toBe('used')
      expect(await add('0xa', 6, { title: 'Other' })).toMatchObject({ id: 'other' })
      await skills.update('ask-one', () => ({ signedAt: 9 }))
      expect(await add('0xa', 8, { title: 'Third' })).toBe('used')
    })

    test('takes the same creation once, however often it comes at once', async () => {
      const outcomes = await Promise.all(Array.from({ length: 8 }, () => add('0xa', 5)))
      expect(outcomes.filter((one) => one === 'used')).toHaveLength(7)
    })

    test('has room for so many of an author, whatever became of them', async () => {
      for (const signedAt of [1, 2, 3]) await add('0xa', signedAt, { title: `Skill ${signedAt}` })
      await skills.update('skill-1', () => ({ state: 'withdrawn' }))
      expect(await add('0xa', 4)).toBe('many')
      expect(await add('0xb', 4)).toMatchObject({ id: 'ask-one' })
    })

    test('lets old drafts go when there are too many, and keeps the others', async () => {
      for (const index of [1, 2, 3, 4, 5]) await add(`0x${index}`, index, { title: `Skill ${index}` })
      await skills.update('skill-1', () => ({ state: 'published' }))
      await add('0xa', 6)
      expect(await add('0xb', 7)).toBe('full')
      expect(await add('0xb', draftKept + 1, {}, draftKept + 3)).toMatchObject({ id: 'ask-one-2' })
      expect(await skills.get('skill-2')).toBeUndefined()
      expect(await skills.get('skill-1')).toMatchObject({ state: 'published' })
      expect(await skills.get('skill-3')).toMatchObject({ state: 'draft' })
    })

    test('shows published ones by page, the latest first, whatever is published meanwhile', async () => {
      skills = createSkills(database, { mostOfAuthor: 100, mostDrafts: 100 })
      const publish = async (index: number, updatedAt: number) => {
        const { id } = (await add(`0x${index}`, index, { title: `Skill ${index}` })) as SkillRecord
        await skills.update(id, () => ({ state: 'published', updatedAt }))
      }
      for (let index = 1; index <= 5; index++) await publish(index, index < 3 ? 7 : 10 + index)
      await add('0xa', 50, { title: 'Hidden' })
      const first = await skills.select({}, { limit: 2 })
      expect(first).toMatchObject({ total: 5, records: [{ id: 'skill-5' }, { id: 'skill-4' }] })
      await publish(6, 100)
      const second = await skills.select({}, { limit: 2, after: first.next })
      expect(second.records.map(({ id }) => id)).toEqual(['skill-3', 'skill-1'])
      const third = await skills.select({}, { limit: 2, after: second.next })
      expect(third).toEqual({ records: [expect.objectContaining({ id: 'skill-2' })], total: 6 })
    })

    test('finds by category, tag and words, and reads no pattern in them', async () => {
      const publish = async (signedAt: number, author: string, changes: object) => {
        const { id } = (await add(author, signedAt, changes)) as SkillRecord
        await skills.update(id, () => ({ state: 'published' }))
      }
      await publish(1, '0xa', { title: '100% Sure', category: 'llm', tags: ['a-b', 'c'] })
      await publish(2, '0xa', { title: 'Größe', tags: ['c'], summary: 'It measures_things!' })
      const ids = async (filter: Parameters<Skills['select']>[0]) =>
        (await skills.select(filter, { limit: 10 })).records.map(({ id }) => id)
      expect(await ids({ category: 'llm' })).toEqual(['100-sure'])
      expect(await ids({ category: 'other' })).toHaveLength(1)
      expect(await ids({ tag: 'c' })).toHaveLength(2)
      expect(await ids({ tag: 'a-b' })).toEqual(['100-sure'])
      expect(await ids({ tag: 'b' })).toEqual([])
      expect(await ids({ search: 'GRÖSSE' })).toEqual([])
      expect(await ids({ search: 'GRÖßE' })).toHaveLength(1)
      expect(await ids({ search: '0% s' })).toEqual(['100-sure'])
      expect(await ids({ search: '%' })).toEqual(['100-sure'])
      expect(await ids({ search: 's_t' })).toHaveLength(1)
      expect(await ids({ search: '!' })).toHaveLength(1)
      expect(await ids({ search: "' OR 1=1 --" })).toEqual([])
      expect(await ids({ category: 'llm', tag: 'c', search: 'sure' })).toEqual(['100-sure'])
    })
  })
})
