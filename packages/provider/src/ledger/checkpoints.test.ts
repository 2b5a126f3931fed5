import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import SQLite from 'better-sqlite3'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { checkpoints } from './checkpoints.ts'

let file: string
let database: SQLite.Database

beforeEach(() => {
  file = join(tmpdir(), `drain-checkpoints-${process.pid}-${Math.random().toString(36).slice(2)}.db`)
  database = new SQLite(file)
  database.pragma('journal_mode = WAL')
  database.exec('CREATE TABLE seen (name TEXT NOT NULL)')
})
afterEach(() => {
  vi.restoreAllMocks()
  database.close()
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true })
})

/** More than is copied at once. */
const many = 4_000
/** When the log is about to begin anew, a copy is followed by the next one. */
const inARow = 17

test('a thread that was told to close is asked for nothing more, whatever it has just done', async () => {
  const posted = vi.spyOn(Worker.prototype, 'postMessage')
  const asked = () => posted.mock.calls.map(([message]) => message)
  let before = 0
  const { pragma } = database
  vi.spyOn(database, 'pragma').mockImplementation((source, options) => {
    if (source.startsWith('wal_checkpoint')) before = asked().length
    return pragma.call(database, source, options)
  })
  const copies = checkpoints(database)
  const write = () => {
    copies.wrote(many) // if no copy is under way, one is then
    copies.wrote(many) // and enough is left for one more
  }
  for (write(); asked().length - before < inARow; write()) await turn()
  await copies.close()
  expect(asked().filter((message) => message === 'close')).toHaveLength(1)
  expect(asked().at(-1)).toBe('close')
  copies.wrote(many)
  await copies.close()
  expect(asked().at(-1)).toBe('close')
})

test.each([0, 1, 2, 5, 20])('it closes after %i turns of writing', async (turns) => {
  const copies = checkpoints(database)
  for (let count = 0; count <= turns; count += 1) {
    database.prepare('INSERT INTO seen VALUES (?)').run('x')
    copies.wrote(many)
    await turn()
  }
  await copies.close()
  database.close()
  copies.wrote(many)
  const again = new SQLite(file)
  expect(again.prepare('SELECT count(*) AS n FROM seen').get()).toEqual({ n: turns + 1 })
  again.close()
})
