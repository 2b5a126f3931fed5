import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { fileStore } from '../store/file.ts'
import { openStore } from './openStore.ts'

const folder = mkdtempSync(join(tmpdir(), 'drain-state-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('a new folder is for its owner alone, and several commands may work in it', async () => {
  const state = join(folder, 'one', 'state')
  const [one, other] = [await openStore(state), await openStore(state)]
  expect(statSync(state).mode & 0o777).toBe(0o700)
  await one.step(0, () => [{ key: 'a', text: '1' }])
  let seen: unknown
  await other.step(0, (changes) => {
    seen = changes
    return []
  })
  expect(seen).toEqual([{ key: 'a', text: '1' }])
  await Promise.all([one.close(), other.close()])
  expect(existsSync(join(state, 'channels.db'))).toBe(true)
})

test('what has begun as a file stays one, where SQLite loads as well: its channels are found', async () => {
  const begun = fileStore(join(folder, 'channels.log'))
  await begun.step(0, () => [{ key: 'a', text: '1' }])
  await begun.close()
  const store = await openStore(folder)
  let seen: unknown
  await store.step(0, (changes) => {
    seen = changes
    return []
  })
  await store.close()
  expect(seen).toEqual([{ key: 'a', text: '1' }])
  expect(existsSync(join(folder, 'channels.db'))).toBe(false)
})
