import fs, {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { changes, put, range } from './conformance/cases.ts'
import { conformance, lasting, steps } from './conformance/index.ts'
import { hammer, killed } from './conformance/processes.ts'
import { StoreFileError, StoreInUseError } from './Errors.ts'
import { fileStore } from './file.ts'

const folder = mkdtempSync(join(tmpdir(), 'drain-store-'))
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0
const place = () => join(folder, `${++files}.log`)

async function aStore(count = 5): Promise<string> {
  const path = place()
  const store = fileStore(path)
  for (const index of range(count)) await put(store, { key: `key ${index}`, text: `text ${index}` })
  await store.close()
  return path
}

async function contentOf(path: string) {
  const store = fileStore(path)
  try {
    return await changes(store)
  } finally {
    await store.close()
  }
}

conformance('steps', steps, { place, open: fileStore })
conformance('reopened', lasting, { place, open: fileStore })

describe('one process at a time', () => {
  killed('file', place, fileStore)

  test('a second process is told who has it and what to do, and may have it after that', async () => {
    const path = place()
    const { pid, begin, line, ended } = await hammer('hold', 'file', path)
    const held = line()
    begin()
    await held
    const error = (() => {
      try {
        fileStore(path)
      } catch (error) {
        return error as StoreInUseError
      }
    })()
    expect(error).toBeInstanceOf(StoreInUseError)
    expect(error).toMatchObject({ code: 'store_in_use', pid, path })
    expect(error?.message).toContain(`process ${pid}`)
    expect(error?.message).toContain('use sqliteStore')
    begin()
    await ended
    expect(await contentOf(path)).toEqual([{ key: 'held', text: String(pid) }])
  })

  test('neither does a second store of this process get it, nor one by another name', async () => {
    const path = await aStore()
    const link = place()
    symlinkSync(path, link)
    const store = fileStore(path)
    for (const name of [path, link]) expect(() => fileStore(name)).toThrow(`in use by process ${process.pid}`)
    await store.close()
    await fileStore(link).close()
  })

  test('the lock of a process that was killed is taken over', async () => {
    const path = place()
    const { pid, begin, line, kill, ended } = await hammer('hold', 'file', path)
    const held = line()
    begin()
    await held
    kill()
    await ended
    expect(readFileSync(`${path}.lock`, 'utf8')).toContain(`"pid":${pid},`)
    expect(await contentOf(path)).toEqual([{ key: 'held', text: String(pid) }])
    expect(existsSync(`${path}.lock`)).toBe(false)
  })

  test('one of four processes takes over', async () => {
    const path = await aStore()
    writeFileSync(`${path}.lock`, aLock({ pid: 2 ** 22 - 1 }))
    const children = await Promise.all(range(4).map(() => hammer('open', 'file', path)))
    const first = children.map(({ line }) => line())
    for (const { begin } of children) begin()
    const answers = await Promise.all(first)
    expect(answers.sort()).toEqual(['opened', ...range(3).map(() => 'store_in_use')].sort())
    for (const { begin, ended } of children) {
      begin()
      await ended
    }
    expect(await contentOf(path)).toHaveLength(5)
    expect(readdirSync(folder).filter((name) => name.includes('.lock'))).toEqual([])
  })

  test('so is that of one that was killed while it took over', async () => {
    const path = await aStore()
    const dead = { pid: 2 ** 22 - 1 }
    writeFileSync(`${path}.lock`, aLock({ ...dead, token: 'aa' }))
    writeFileSync(`${path}.lock.of.aa`, aLock({ ...dead, token: 'bb' }))
    expect(await contentOf(path)).toHaveLength(5)
    expect(readdirSync(folder).filter((name) => name.includes('.lock'))).toEqual([])
  })

  test('a later process of the same id is not the one that had it', async () => {
    const path = await aStore()
    if (process.platform !== 'linux') return
    writeFileSync(`${path}.lock`, aLock({ startedAt: '12' }))
    expect(await contentOf(path)).toHaveLength(5)
    writeFileSync(`${path}.lock`, aLock({ bootId: 'another' }))
    expect(await contentOf(path)).toHaveLength(5)
  })

  test.each([{ host: 'elsewhere' }, { pidNamespace: 'pid:[1]' }])(
    'a lock that is out of sight holds: %o',
    async (difference) => {
      const path = await aStore()
      const lock = aLock({ pid: 2 ** 22 - 1, ...difference })
      writeFileSync(`${path}.lock`, lock)
      expect(() => fileStore(path)).toThrow(
        /in use by process 4194303 on .*If that process has ended, remove/,
      )
      expect(readFileSync(`${path}.lock`, 'utf8')).toBe(lock)
    },
  )

  test('what is no lock is not removed', async () => {
    const path = await aStore()
    writeFileSync(`${path}.lock`, 'mine')
    expect(() => fileStore(path)).toThrow(/\.lock is not a lock/)
    expect(readFileSync(`${path}.lock`, 'utf8')).toBe('mine')
  })
})

/** A lock as this process would write it, but for `difference`. */
function aLock(difference: object): string {
  const path = place()
  const store = fileStore(path)
  const lock = JSON.parse(readFileSync(`${path}.lock`, 'utf8'))
  void store.close()
  return JSON.stringify({ ...lock, token: 'abcdef', ...difference })
}

describe('what is no store is refused, and left as it is', () => {
  function expectRefusal(path: string, content: Buffer | string, problem: RegExp): void {
    writeFileSync(path, content)
    expect(() => fileStore(path)).toThrow(StoreFileError)
    expect(() => fileStore(path)).toThrow(problem)
    expect(readFileSync(path)).toEqual(Buffer.from(content))
    expect(existsSync(`${path}.lock`)).toBe(false)
  }

  test("an empty file, another program's, one of a later version", async () => {
    const path = await aStore()
    const text = readFileSync(path, 'utf8')
    expectRefusal(path, '', /is damaged.*left as it is/s)
    expectRefusal(path, '[]', /it is empty, or belongs to another program/)
    expectRefusal(path, text.replace('"version":1', '"version":2'), /line 1 is damaged/)
  })

  test('any byte that is changed, and any line that is missing or moved', async () => {
    const path = await aStore()
    const bytes = readFileSync(path)
    for (const index of bytes.keys()) {
      const damaged = Buffer.from(bytes)
      damaged[index] = (damaged[index] ?? 0) ^ 1
      // The end of the last line: then it is one that was cut off.
      if (index < bytes.length - 1) expectRefusal(path, damaged, /damaged|belongs/)
    }
    const lines = bytes.toString().split('\n').slice(0, -1)
    for (const index of range(lines.length - 1)) {
      expectRefusal(path, `${lines.toSpliced(index, 1).join('\n')}\n`, /damaged|belongs/)
      const moved = lines.toSpliced(index, 2, lines[index + 1] ?? '', lines[index] ?? '')
      expectRefusal(path, `${moved.join('\n')}\n`, /damaged|belongs/)
    }
  })

  test('a missing folder', () => {
    expect(() => fileStore(join(folder, 'none', 'store.log'))).toThrow(
      /cannot be locked.*existing, writable folder/s,
    )
  })
})

test('a line that was cut off was never acknowledged: it is dropped', async () => {
  const path = await aStore(3)
  const bytes = readFileSync(path)
  const whole = bytes.lastIndexOf('\n', bytes.length - 2) + 1
  for (let length = whole; length < bytes.length; length++) {
    writeFileSync(path, bytes.subarray(0, length))
    expect(await contentOf(path)).toHaveLength(2)
    expect(statSync(path).size).toBe(whole)
  }
})

test('only its owner can read what it writes', async () => {
  const path = place()
  const store = fileStore(path)
  await put(store, { key: 'a', text: 'x'.repeat(2_000_000) })
  await put(store, { key: 'a', text: '' })
  for (const name of [path, `${path}.lock`]) expect(statSync(name).mode & 0o777).toBe(0o600)
  await store.close()
  expect(statSync(path).mode & 0o777).toBe(0o600)
})

test('it is written anew when it is long, and keeps its revision', async () => {
  const path = place()
  const store = fileStore(path)
  await put(store, { key: 'kept', text: 'here' }, { key: 'gone', text: 'here' })
  for (const index of range(30)) await put(store, { key: 'big', text: String(index).repeat(50_000) })
  await put(store, { key: 'gone', text: null })
  const before = statSync(path).size
  for (const index of range(30)) await put(store, { key: 'big', text: String(index).repeat(50_000) })
  const revision = await put(store, { key: 'big', text: null })
  expect(revision).toBe(63)
  expect(statSync(path).size).toBeLessThan(before)
  await store.close()

  const again = fileStore(path)
  expect(await changes(again)).toEqual([{ key: 'kept', text: 'here' }])
  expect(await again.step(0, () => [])).toBe(revision)
  await again.close()
})

describe('what goes wrong while it runs', () => {
  /** Until the result is called, or the test ends. */
  function replaceDisk(functions: object): () => void {
    const { fdatasync, writeSync } = fs
    const put = (functions: object) => {
      Object.assign(fs, functions)
      syncBuiltinESMExports()
    }
    const mend = () => put({ fdatasync, writeSync })
    onTestFinished(mend)
    put(functions)
    return mend
  }
  const { writeSync } = fs

  test('a full disk refuses a batch, and leaves no half of it', async () => {
    const path = place()
    const store = fileStore(path)
    await put(store, { key: 'a', text: '1' })
    const mend = replaceDisk({
      writeSync(descriptor: number, bytes: Buffer, offset: number, _: number, position: number) {
        if (position > 200) throw new Error('ENOSPC')
        return writeSync(descriptor, bytes, offset, 10, position)
      },
    })
    const results = await Promise.allSettled([
      put(store, { key: 'b', text: '2'.repeat(300) }),
      put(store, { key: 'c', text: '2' }),
    ])
    for (const result of results) expect(result).toMatchObject({ reason: { code: 'store_unavailable' } })
    mend()
    expect(await changes(store)).toEqual([{ key: 'a', text: '1' }])
    expect(await put(store, { key: 'd', text: '3' })).toBe(2)
    await store.close()
    expect((await contentOf(path)).map(({ key }) => key)).toEqual(['a', 'd'])
  })

  test('after a flush that failed nothing is accepted', async () => {
    const path = place()
    const store = fileStore(path)
    await put(store, { key: 'a', text: '1' })
    const mend = replaceDisk({
      fdatasync: (_: number, callback: (error: Error) => void) => callback(new Error('EIO')),
    })
    await expect(put(store, { key: 'b', text: '2' })).rejects.toThrow(/the disk failed.*EIO/s)
    mend()
    await expect(put(store, { key: 'c', text: '3' })).rejects.toThrow(/the disk failed/)
    await expect(changes(store)).rejects.toThrow(/the disk failed/)
    await store.close()
  })

  test('steps that are asked for at once share one flush, those without writes need none', async () => {
    const store = fileStore(place())
    const { fdatasync } = fs
    let flushes = 0
    replaceDisk({
      fdatasync(descriptor: number, callback: (error: Error | null) => void) {
        flushes += 1
        fdatasync(descriptor, callback)
      },
    })
    await Promise.all(range(64).map((index) => put(store, { key: String(index), text: '' })))
    expect(flushes).toBe(1)
    await changes(store)
    expect(flushes).toBe(1)
    await store.close()
  })

  test('a file that somebody removes is missed', async () => {
    const path = place()
    const store = fileStore(path)
    rmSync(path)
    await expect(put(store, { key: 'a', text: '1' })).rejects.toThrow(/its file was removed/)
    await store.close()
  })
})
