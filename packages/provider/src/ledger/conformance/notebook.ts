import { describe, expect, test } from 'vitest'
import { LedgerUsageError } from '../Errors.ts'
import { shuffled } from '../fixtures.ts'
import type { Ledger } from '../Ledger.ts'
import { allOf, type Setting } from './Setting.ts'

const set = ({ notebook }: Ledger, key: string, text: string | null) =>
  notebook.write(key, () => ({ result: undefined, write: text }))

const get = ({ notebook }: Ledger, key: string) => notebook.write(key, (text) => ({ result: text }))

const keysOf = async (ledger: Ledger, ...range: Parameters<Ledger['notebook']['read']>) =>
  (await allOf(ledger.notebook.read(...range))).map(({ key }) => key)

/** What is remembered beside the channels. */
export function notebook({ clock, start }: Setting): void {
  describe('notebook', () => {
    test('a note is written, changed, left and removed', async () => {
      const ledger = await start()
      expect(await get(ledger, 'cursor')).toBeUndefined()
      await set(ledger, 'cursor', 'one')
      expect(await get(ledger, 'cursor')).toBe('one')
      const before = await ledger.notebook.write('cursor', (text) => ({
        result: text,
        write: `${text}, two`,
      }))
      expect(before).toBe('one')
      await ledger.notebook.write('cursor', () => ({ result: 0, write: undefined }))
      expect(await allOf(ledger.notebook.read(''))).toEqual([{ key: 'cursor', text: 'one, two' }])
      await set(ledger, 'cursor', '')
      expect(await get(ledger, 'cursor')).toBe('')
      await set(ledger, 'cursor', null)
      await set(ledger, 'cursor', null)
      expect(await get(ledger, 'cursor')).toBeUndefined()
      expect(await allOf(ledger.notebook.read(''))).toEqual([])
    })

    test('goes by the clock of the store', async () => {
      const { notebook } = await start()
      const now = () => notebook.write('lease', (_, now) => ({ result: now }))
      const first = await now()
      expect(Number.isSafeInteger(first)).toBe(true)
      clock.advance(3_600_000)
      const later = (await now()) - first
      expect(later).toBeGreaterThanOrEqual(3_600_000)
      expect(later).toBeLessThan(3_660_000)
    })

    test('keeps any text as it is', async () => {
      const ledger = await start()
      const texts = [
        '',
        ' \r\n\t ',
        "'; DROP TABLE notes; --",
        '\\x00 \\ "',
        'żółw 🐢 \u{10ffff}',
        '\x01\x7f\ufeff',
      ]
      for (const [index, text] of texts.entries()) await set(ledger, `text/${index}`, text)
      const read = await allOf(ledger.notebook.read('text/'))
      expect(read.map(({ text }) => text)).toEqual(texts)
      for (const [index, text] of texts.entries()) expect(await get(ledger, `text/${index}`)).toBe(text)
    })

    test('reads in the order of bytes, by prefix and from a key on', async () => {
      const ledger = await start()
      const keys = [' ', '"\\\'', 'A', 'Z/1', '_', 'a', 'a ', 'a/', 'a/1', 'a/10', 'a/2', 'a/B', 'a/b', 'a/~']
      const more = ['a0', 'aa', 'b', '~', '~'.repeat(200)]
      for (const key of shuffled([...keys, ...more])) await set(ledger, key, `text of ${key}`)
      expect(await keysOf(ledger, '')).toEqual([...keys, ...more])
      expect(await keysOf(ledger, 'a/')).toEqual(['a/', 'a/1', 'a/10', 'a/2', 'a/B', 'a/b', 'a/~'])
      expect(await keysOf(ledger, 'a/', { from: 'a/10' })).toEqual(['a/10', 'a/2', 'a/B', 'a/b', 'a/~'])
      expect(await keysOf(ledger, 'a/', { from: 'a/11' })).toEqual(['a/2', 'a/B', 'a/b', 'a/~'])
      expect(await keysOf(ledger, 'a/', { from: 'A' })).toHaveLength(7)
      expect(await keysOf(ledger, 'a/', { from: 'b' })).toEqual([])
      expect(await keysOf(ledger, '~')).toEqual(['~', '~'.repeat(200)])
      expect(await keysOf(ledger, 'nothing')).toEqual([])
      for await (const { key, text } of ledger.notebook.read('')) expect(text).toBe(`text of ${key}`)
    })

    test('reads many notes, and large ones, in portions', async () => {
      const ledger = await start()
      const many = Array.from({ length: 2100 }, (_, index) => `many/${String(index).padStart(20, '0')}`)
      const large = Array.from({ length: 5 }, (_, index) => `large/${index}`)
      const text = 'ż'.repeat(512 * 1024)
      await Promise.all([
        ...shuffled(many).map((key) => set(ledger, key, key)),
        ...large.map((key) => set(ledger, key, text)),
      ])
      expect(await keysOf(ledger, '')).toEqual([...large, ...many])
      expect(await keysOf(ledger, 'many/', { from: many[1500] ?? '' })).toEqual(many.slice(1500))
      expect((await allOf(ledger.notebook.read('large/'))).every((note) => note.text === text)).toBe(true)
      // What is read may be removed while it is read.
      const read: string[] = []
      for await (const { key } of ledger.notebook.read('many/')) {
        read.push(key)
        if (read.length % 7 === 0) await set(ledger, key, null)
      }
      expect(read).toEqual(many)
      expect(await keysOf(ledger, 'many/')).toHaveLength(1800)
    })

    test('a decision that throws writes nothing, and its error is told', async () => {
      const ledger = await start()
      await set(ledger, 'note', 'kept')
      const error = new RangeError('of the caller')
      const results = await Promise.allSettled([
        set(ledger, 'other', 'written'),
        ledger.notebook.write('note', () => {
          throw error
        }),
        ledger.notebook.write('note', (text) => ({ result: text })),
      ])
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      expect(results[1]).toHaveProperty('reason', error)
      expect(await allOf(ledger.notebook.read(''))).toEqual([
        { key: 'note', text: 'kept' },
        { key: 'other', text: 'written' },
      ])
    })

    test('steps on one note at once happen one after another, in the order of their calls', async () => {
      const { notebook } = await start()
      const counted = await Promise.all(
        Array.from({ length: 300 }, () =>
          notebook.write('count', (text = '0') => ({
            result: Number(text),
            write: String(Number(text) + 1),
          })),
        ),
      )
      expect(counted).toEqual(Array.from({ length: 300 }, (_, index) => index))
    })

    test('only the first of many takes a key', async () => {
      const { notebook } = await start()
      const takes = Array.from({ length: 50 }, (_, index) =>
        notebook.write('tx/1', (text) => ({ result: text === undefined, write: text ?? String(index) })),
      )
      expect((await Promise.all(takes)).filter((isMine) => isMine)).toHaveLength(1)
    })

    test.each([
      ['empty', ''],
      ['too long', 'a'.repeat(201)],
      ['no ASCII', 'ż'],
      ['with a line', 'a\n'],
      ['with a NUL', '\0'],
    ])('refuses a key that is %s', async (_, key) => {
      const ledger = await start()
      await expect(set(ledger, key, 'text')).rejects.toBeInstanceOf(LedgerUsageError)
      if (key !== '') {
        await expect(allOf(ledger.notebook.read('', { from: key }))).rejects.toBeInstanceOf(LedgerUsageError)
        await expect(allOf(ledger.notebook.read(key))).rejects.toBeInstanceOf(LedgerUsageError)
      }
      expect(await allOf(ledger.notebook.read(''))).toEqual([])
    })

    test.each([
      ['too long', 'a'.repeat(1024 * 1024 + 1)],
      ['too long in bytes', 'ż'.repeat(512 * 1024 + 1)],
      ['with a NUL', 'a\0'],
      ['half a pair', '\ud83d'],
    ])('refuses a text that is %s', async (_, text) => {
      const ledger = await start()
      await expect(set(ledger, 'note', text)).rejects.toBeInstanceOf(LedgerUsageError)
      expect(await allOf(ledger.notebook.read(''))).toEqual([])
    })

    test('is closed with its ledger', async () => {
      const ledger = await start()
      await set(ledger, 'note', 'text')
      await ledger.close()
      await expect(get(ledger, 'note')).rejects.toMatchObject({ code: 'ledger_unavailable' })
      await expect(allOf(ledger.notebook.read(''))).rejects.toMatchObject({ code: 'ledger_unavailable' })
    })
  })
}
