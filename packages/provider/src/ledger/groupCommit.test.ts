import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import SQLite from 'better-sqlite3'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { groupCommit } from './groupCommit.ts'

let file: string
let database: SQLite.Database
let flushes: { resolve: () => void; reject: (error: Error) => void }[]
let commits: ReturnType<typeof groupCommit>

beforeEach(() => {
  file = join(tmpdir(), `drain-commits-${process.pid}-${Math.random().toString(36).slice(2)}.db`)
  database = new SQLite(file)
  database.pragma('journal_mode = WAL')
  database.exec('CREATE TABLE seen (name TEXT NOT NULL)')
  flushes = []
  commits = groupCommit(database, {
    begun() {},
    undone() {},
    done() {},
    flush: () => new Promise((resolve, reject) => void flushes.push({ resolve, reject })),
  })
})

afterEach(() => {
  database.close()
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true })
})

const told: string[] = []
beforeEach(() => void told.splice(0))

function write(name: string): Promise<void> {
  return commits
    .run(() => ({
      result: name,
      write: () => void database.prepare('INSERT INTO seen VALUES (?)').run(name),
    }))
    .then(
      (name) => void told.push(name),
      (error: Error) => void told.push(`${name}: ${error.message}`),
    )
}

const written = () => database.prepare('SELECT name FROM seen').pluck().all()
const turn = () => new Promise((resolve) => setImmediate(resolve))

test('nothing is told before its flush; what arrives meanwhile is one batch, on its way before the first is told', async () => {
  write('a')
  write('b')
  await turn()
  expect(written()).toEqual(['a', 'b'])
  const later = [write('c'), write('d')]
  await turn()
  expect(written()).toEqual(['a', 'b'])
  expect(told).toEqual([])
  flushes[0]?.resolve()
  await turn()
  expect(told).toEqual(['a', 'b'])
  expect(written()).toEqual(['a', 'b', 'c', 'd'])
  expect(flushes).toHaveLength(2)
  flushes[1]?.resolve()
  await Promise.all(later)
  expect(told).toEqual(['a', 'b', 'c', 'd'])
})

test('what was read of an unflushed write is told after its flush', async () => {
  write('a')
  await turn()
  let isFlushed = false
  const flushed = commits.flushed().then(() => {
    isFlushed = true
  })
  const read = commits.run(() => ({ result: written() }))
  await turn()
  expect(isFlushed).toBe(false)
  flushes[0]?.resolve()
  await flushed
  expect(await read).toEqual(['a'])
})

test('a flush that fails rejects its batch and everything after it, for good', async () => {
  const first = write('a')
  await turn()
  const second = write('b')
  flushes[0]?.reject(new Error('EIO'))
  await Promise.all([first, second])
  await write('c')
  expect(told).toEqual(
    ['a', 'b', 'c'].map((name) => expect.stringMatching(new RegExp(`^${name}: .*the disk failed`))),
  )
  expect(written()).toEqual(['a'])
  await expect(commits.flushed()).rejects.toThrow(/the disk failed/)
})

test('closing commits and flushes what was asked for, and refuses the rest', async () => {
  write('a')
  await turn()
  write('b')
  let isClosed = false
  const closed = commits.close().then(() => {
    isClosed = true
  })
  await write('c')
  expect(told).toEqual([expect.stringMatching(/^c: .*it was closed/)])
  flushes[0]?.resolve()
  await turn()
  expect(isClosed).toBe(false)
  flushes[1]?.resolve()
  await closed
  await turn()
  expect(told.slice(1)).toEqual(['a', 'b'])
})
