import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import SQLite from 'better-sqlite3'
import { afterAll, describe, expect, test } from 'vitest'
import { changes, put, range } from './conformance/cases.ts'
import { conformance, lasting, shared, steps } from './conformance/index.ts'
import { hammer, killed } from './conformance/processes.ts'
import { StoreFileError, StoreUnavailableError } from './Errors.ts'
import { sqliteStore } from './sqlite.ts'

const folder = mkdtempSync(join(tmpdir(), 'drain-store-'))
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0
const place = () => join(folder, `${++files}.db`)

conformance('steps', steps, { place, open: (path) => sqliteStore(path) })
conformance('reopened', lasting, { place, open: (path) => sqliteStore(path) })
conformance('shared', shared, { place, open: (path) => sqliteStore(path) })

describe('processes', () => {
  killed('sqlite', place, (path) => sqliteStore(path))

  test('three of them, new to the file, count on one number 500 times each and lose none', async () => {
    const path = place()
    const children = await Promise.all([1, 2, 3].map(() => hammer('count', 'sqlite', path)))
    for (const { begin } of children) begin()
    const results = await Promise.all(children.map(({ ended }) => ended))
    expect(results.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0])
    const counts = results.flatMap(({ lines }) => lines.map(Number)).sort((a, b) => a - b)
    expect(counts).toEqual(range(1500).map((index) => index + 1))
    const store = sqliteStore(path)
    expect(await changes(store)).toEqual([{ key: 'count', text: '1500' }])
    await store.close()
  })
})

describe('what is no store is refused, and left as it is', () => {
  async function aStore(): Promise<string> {
    const path = place()
    const store = sqliteStore(path)
    for (const index of range(50)) await put(store, { key: `key ${index}`, text: 'text '.repeat(100) })
    await store.close()
    return path
  }

  function expectRefusal(path: string, problem: RegExp): void {
    const before = readFileSync(path)
    expect(() => sqliteStore(path)).toThrow(StoreFileError)
    expect(() => sqliteStore(path)).toThrow(problem)
    expect(readFileSync(path)).toEqual(before)
  }

  test.each([
    ['an empty file', () => Buffer.alloc(0), /is empty or belongs to another program/],
    ['a text', () => Buffer.from('{"channels":[]}'), /cannot be read as a store/],
    ['one that is cut off', (bytes: Buffer) => bytes.subarray(0, -100), /its last page is cut off/],
    ['one that lacks pages', (bytes: Buffer) => bytes.subarray(0, 8192), /cannot be read|damaged/],
    [
      'a damaged page',
      (bytes: Buffer) => bytes.fill(0x55, 4096 * 2, 4096 * 2 + 600),
      /damaged|cannot be read/,
    ],
    ['a damaged header', (bytes: Buffer) => bytes.fill(0, 0, 30), /cannot be read as a store/],
  ])('%s', async (_, damage, problem) => {
    const path = await aStore()
    writeFileSync(path, damage(readFileSync(path)))
    expectRefusal(path, problem)
  })

  test("another program's database, and one of a later version", async () => {
    const other = place()
    new SQLite(other).exec('CREATE TABLE t (a)').close()
    expectRefusal(other, /belongs to another program/)
    const later = await aStore()
    const editor = new SQLite(later)
    editor.pragma('user_version = 9')
    editor.close()
    expectRefusal(later, /has schema version 9, not 1/)
  })

  test('a missing file whose log is there, a missing folder, no file', () => {
    const path = place()
    writeFileSync(`${path}-wal`, 'log')
    expect(() => sqliteStore(path)).toThrow(/is missing, but its -wal file is there/)
    expect(() => sqliteStore(join(folder, 'none', 'store.db'))).toThrow(/cannot be created/)
    expect(() => sqliteStore(':memory:')).toThrow(/is not a file/)
  })
})

test('only its owner can read what it writes', async () => {
  const path = place()
  const store = sqliteStore(path)
  await put(store, { key: 'a', text: 'secret' })
  for (const suffix of ['', '-wal', '-shm']) expect(statSync(`${path}${suffix}`).mode & 0o777).toBe(0o600)
  await store.close()
  expect(readdirSync(folder).filter((name) => name.includes('.new'))).toEqual([])
})

test('a file that another program has locked makes it unavailable, and no more', async () => {
  const path = place()
  const store = sqliteStore(path, { busyTimeoutMs: 0 })
  const other = new SQLite(path)
  other.exec('BEGIN IMMEDIATE')
  await expect(put(store, { key: 'a', text: '1' })).rejects.toThrow(StoreUnavailableError)
  other.exec('COMMIT')
  other.close()
  expect(await put(store, { key: 'a', text: '1' })).toBe(1)
  await store.close()
})

test('a full disk refuses all steps of a batch, and writes none', async () => {
  const path = place()
  const store = sqliteStore(path, { maxPages: 8 })
  const [big, small] = await Promise.allSettled([
    put(store, { key: 'big', text: 'x'.repeat(100_000) }),
    put(store, { key: 'small', text: '' }),
  ])
  expect([big, small]).toMatchObject([
    { reason: { code: 'store_unavailable' } },
    { reason: { code: 'store_unavailable' } },
  ])
  expect(await changes(store)).toEqual([])
  expect(await put(store, { key: 'small', text: '' })).toBe(1)
  await store.close()
})

test('without better-sqlite3 it says what to install', () => {
  const script = `
    import { registerHooks } from 'node:module'
    const core = ${JSON.stringify(new URL('../../../core/src/index.ts', import.meta.url).href)}
    registerHooks({ resolve(specifier, context, next) {
      if (specifier === 'better-sqlite3') throw new Error('Cannot find module')
      return next(specifier === '@drain/core' ? core : specifier, context)
    } })
    const { sqliteStore } = await import(${JSON.stringify(new URL('./sqlite.ts', import.meta.url).href)})
    try { sqliteStore('none.db') } catch (error) { console.log(error.code, error.message) }
  `
  const printed = execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: folder })
  expect(String(printed)).toMatch(/^sqlite_missing .*npm install better-sqlite3/)
})
