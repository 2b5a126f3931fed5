import fs, {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import SQLite from 'better-sqlite3'
import { afterAll, afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { openBooks } from '../cli/openBooks.ts'
import { conformance, durability, type LastingStore, processes } from './conformance/index.ts'
import { allOf } from './conformance/Setting.ts'
import { LedgerFileError, LedgerInvariantError, LedgerUnavailableError } from './Errors.ts'
import { aChannel, aVoucher, identity } from './fixtures.ts'
import type { Ledger } from './Ledger.ts'
import { backupSqliteLedger, sqliteLedger } from './sqlite.ts'

const folder = mkdtempSync(join(tmpdir(), 'drain-ledger-'))
let files = 0
let opened: Ledger[] = []

afterEach(async () => {
  for (const ledger of opened) await ledger.close()
  opened = []
})
afterAll(() => rmSync(folder, { recursive: true }))

function aPath(): string {
  files += 1
  return join(folder, `${files}.db`)
}

function start(path: string, options: sqliteLedger.Options = {}): Ledger {
  const ledger = sqliteLedger(path, { log: () => {}, ...options })(identity)
  opened.push(ledger)
  return ledger
}

/** Flushes go here until the result is called, or the test ends. */
function replaceDisk(disk: object): () => void {
  const { fdatasync, fdatasyncSync } = fs
  const put = (functions: object) => {
    Object.assign(fs, functions)
    syncBuiltinESMExports()
  }
  const mend = () => put({ fdatasync, fdatasyncSync })
  onTestFinished(mend)
  put(disk)
  return mend
}

/** A ledger with something in each of its tables, closed. */
async function aLedgerFile(channels = 200): Promise<string> {
  const path = aPath()
  let day = 1_700_000_000_000
  const ledger = sqliteLedger(path, { now: () => day })(identity)
  async function serve(): Promise<void> {
    const channel = aChannel()
    const key = { id: '0x01', fingerprint: `0x${'02'.repeat(32)}` } as const
    for (const nonce of [1n, 2n]) {
      const request = { channel, voucher: aVoucher(10n * nonce, nonce), quote: 5n, key }
      const reserved = await ledger.reserve(request)
      if (!reserved.ok) throw new Error(reserved.code)
      await ledger.capture(reserved.reservationId, 3n, { outcome: new Uint8Array(300) })
      day += 86_400_000
    }
    await ledger.beginClaim(channel.channelId, 6n)
    const receipt = { txHash: `0x${'77'.repeat(32)}`, fee: 0n, gasCost: 1n } as const
    await ledger.endClaim({ ...channel, claimed: 6n }, receipt)
  }
  await Promise.all(Array.from({ length: channels }, serve))
  await ledger.notebook.write('cursor', () => ({ result: undefined, write: '1' }))
  await ledger.close()
  return path
}

const store: LastingStore = {
  place: aPath,
  open: (path, { clock, ...options }) => sqliteLedger(path, { ...options, now: clock.now })(identity),
  toVersion2(path) {
    const editor = new SQLite(path)
    editor.exec('DROP TABLE notes')
    editor.pragma('user_version = 2')
    editor.close()
  },
  inChild: (path) => ({ module: './sqlite.ts', name: 'sqliteLedger', args: [path] }),
}

describe('sqlite', () => {
  conformance((options) => store.open(aPath(), options), { runs: 60 })
  durability(store)
  processes(store)
})

describe('what goes wrong while it runs', () => {
  test('what cannot be written is refused, all of it, and leaves nothing', async () => {
    const path = await aLedgerFile(10)
    const full = start(path, { maxPages: 1 })
    const requests = Array.from({ length: 50 }, () => ({
      channel: aChannel(),
      voucher: aVoucher(10n, 1n),
      quote: 5n,
    }))
    const results = await Promise.allSettled(requests.map((request) => full.reserve(request)))
    for (const result of results)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'ledger_unavailable' } })
    expect((await full.totals()).open).toBe(10)
    for (const { channel } of requests) expect(await full.glance(channel.channelId)).toBeUndefined()
    await full.close()

    const roomy = start(path)
    for (const result of await Promise.all(requests.map((request) => roomy.reserve(request))))
      expect(result.ok).toBe(true)
  })

  test('an outcome that finds no room leaves its capture undone', async () => {
    const path = aPath()
    const ledger = start(path, { maxPages: 100 })
    const channel = aChannel()
    const key = { id: '0x01', fingerprint: '0x02' } as const
    const reserved = await ledger.reserve({ channel, voucher: aVoucher(10n, 1n), quote: 5n, key })
    if (!reserved.ok) throw new Error(reserved.code)
    const outcome = new Uint8Array(1_000_000)
    const capture = ledger.capture(reserved.reservationId, 5n, { outcome })
    await expect(capture).rejects.toThrow(LedgerUnavailableError)
    const before = { charged: 0n, reserved: 5n, requests: 0n }
    expect(await ledger.glance(channel.channelId)).toMatchObject(before)
    expect(await ledger.get(channel.channelId)).toMatchObject(before)
    expect(await ledger.outcome(channel.channelId, key.id)).toBeUndefined()
    const small = { outcome: new Uint8Array(1000) }
    expect(await ledger.capture(reserved.reservationId, 5n, small)).toMatchObject({ captured: 5n })
  })

  test.each([
    { synchronous: 'full', answer: LedgerUnavailableError },
    { synchronous: 'normal', answer: undefined },
  ] as const)('a disk that does not take a flush: $synchronous', async ({ synchronous, answer }) => {
    const path = aPath()
    const ledger = start(path, { synchronous })
    const channel = aChannel()
    await ledger.reserve({ channel, voucher: aVoucher(10n, 1n), quote: 5n })
    const mend = replaceDisk({
      fdatasync: (_: number, callback: (error: Error) => void) => callback(new Error('EIO')),
      fdatasyncSync() {
        throw new Error('EIO')
      },
    })
    const refused = await ledger.reserve({ channel, voucher: aVoucher(20n, 2n), quote: 5n }).catch((e) => e)
    mend()
    const after = await ledger.reserve({ channel, voucher: aVoucher(30n, 3n), quote: 5n }).catch((e) => e)
    for (const result of [refused, after]) {
      if (answer) expect(result).toBeInstanceOf(answer)
      else expect(result).toMatchObject({ ok: true })
    }
    if (answer) {
      await expect(ledger.get(channel.channelId)).rejects.toThrow(answer)
      await expect(allOf(ledger.notebook.read(''))).rejects.toThrow(answer)
      const late = ledger.notebook.write('note', () => ({ result: undefined, write: 'text' }))
      await expect(late).rejects.toThrow(answer)
    }
    await ledger.close()
    expect(await start(path).get(channel.channelId)).toMatchObject({ deposit: channel.deposit })
  })

  test('a note that another process has not flushed is flushed before it is told', async () => {
    const { fdatasync, fdatasyncSync } = fs
    const path = aPath()
    const [unflushed, ledger] = [start(path, { synchronous: 'normal' }), start(path)]
    let flushes = 0
    replaceDisk({
      fdatasync(descriptor: number, callback: (error: Error | null) => void) {
        flushes += 1
        fdatasync(descriptor, callback)
      },
      fdatasyncSync(descriptor: number) {
        flushes += 1
        fdatasyncSync(descriptor)
      },
    })
    await unflushed.notebook.write('note', () => ({ result: undefined, write: 'text' }))
    expect(flushes).toBe(0)
    expect(await ledger.notebook.write('note', (text) => ({ result: text }))).toBe('text')
    expect(flushes).toBe(1)
  })

  test('a long log is copied into the file while the ledger is open, and is gone when it is closed', async () => {
    const path = aPath()
    const ledger = start(path)
    const channels = Array.from({ length: 500 }, () => aChannel())
    const before = statSync(path).size
    for (let nonce = 1n; nonce <= 10n; nonce++)
      await Promise.all(channels.map((channel) => ledger.raise({ channel, voucher: aVoucher(nonce, nonce) })))
    await expect.poll(() => statSync(path).size).toBeGreaterThan(before)
    const last = await ledger.raise({ channel: aChannel(), voucher: aVoucher(1n, 1n) })
    expect(last).toMatchObject({ ok: true })
    await ledger.close()
    expect(existsSync(`${path}-wal`)).toBe(false)
    expect(await start(path).totals()).toMatchObject({ open: 501, authorized: 5001n })
  })

  test('a channel is forgotten for a newer one, and found again', async () => {
    const ledger = start(aPath(), { cachedChannels: 4 })
    const channels = Array.from({ length: 20 }, () => aChannel())
    for (let nonce = 1n; nonce <= 3n; nonce++) {
      for (const channel of channels) {
        const request = { channel, voucher: aVoucher(nonce * 10n, nonce), quote: 10n }
        const reserved = await ledger.reserve(request)
        if (!reserved.ok) throw new Error(reserved.code)
        await ledger.capture(reserved.reservationId, 10n)
      }
    }
    for (const { channelId } of channels) {
      expect(await ledger.glance(channelId)).toMatchObject({ charged: 30n, nonce: 3n })
    }
  })

  test('a file locked by another program makes the ledger unavailable, and no more', async () => {
    const path = await aLedgerFile(1)
    const ledger = start(path, { busyTimeoutMs: 0 })
    const request = { channel: aChannel(), voucher: aVoucher(10n, 1n), quote: 5n }
    const other = new SQLite(path)
    other.exec('BEGIN IMMEDIATE')
    await expect(ledger.reserve(request)).rejects.toThrow(LedgerUnavailableError)
    expect(await ledger.get(request.channel.channelId)).toBeUndefined()
    other.exec('COMMIT')
    other.close()
    expect(await ledger.reserve(request)).toMatchObject({ ok: true })
  })

  test('a damaged row serves nobody, and hinders nobody', async () => {
    const path = aPath()
    const messages: string[] = []
    const ledger = start(path, { log: (message) => messages.push(message) })
    const channels = [aChannel(), aChannel(), aChannel()]
    const pay = (nonce: bigint) =>
      Promise.allSettled(
        channels.map((channel) => ledger.reserve({ channel, voucher: aVoucher(10n, nonce), quote: 5n })),
      )
    await pay(1n)
    const editor = new SQLite(path)
    editor.exec('UPDATE channels SET charged = 7 WHERE number = 2')
    editor.exec('UPDATE channels SET rest = substr(rest, 1, length(rest) - 9) WHERE number = 3')
    editor.close()
    const results = await pay(2n)
    expect(results).toMatchObject([
      { value: { ok: true } },
      { reason: { code: 'ledger_invariant' } },
      { reason: { code: 'ledger_invariant' } },
    ])
    await expect(ledger.get(channels[1]?.channelId ?? '0x')).rejects.toThrow(LedgerInvariantError)
    expect(await ledger.prune()).toEqual({ channels: 0, outcomes: 0 })
    const listed = []
    for await (const { channelId } of ledger.channels()) listed.push(channelId)
    expect(listed).toEqual([channels[0]?.channelId])
    expect(messages).toEqual([1, 2].map((index) => expect.stringContaining(channels[index]?.channelId ?? '')))
  })
})

describe('a file that was copied back', () => {
  const minute = 60_000
  let clock = 1_700_000_000_000
  const now = () => clock

  /** A running ledger with an open channel, and what was spent on it. */
  async function aProvider() {
    const path = aPath()
    const channel = aChannel()
    const messages: string[] = []
    let nonce = 0n
    const open = (at = path, options: sqliteLedger.Options = {}) => {
      messages.length = 0
      return start(at, { now, log: (message) => messages.push(message), ...options })
    }
    const spend = async (ledger: Ledger) => {
      nonce += 1n
      return ledger.reserve({ channel, voucher: aVoucher(nonce, nonce), quote: 1n })
    }
    const statusOf = async (ledger: Ledger) => (await ledger.get(channel.channelId))?.status
    const first = open()
    await spend(first)
    await note(first, 'kept')
    return { path, channel, messages, open, spend, statusOf, first }
  }

  const note = ({ notebook }: Ledger, text?: string) =>
    notebook.write('note', (before) => ({ result: before, write: text }))

  function expectFrozen(messages: string[], says: RegExp): void {
    expect(messages).toHaveLength(1)
    expect(messages[0]).toMatch(says)
    expect(messages[0]).toMatch(/1 open channels are frozen/)
  }

  test('by a backup of our own, made under load: its channels are frozen, once', async () => {
    const { path, channel, messages, open, spend, statusOf, first } = await aProvider()
    const copy = aPath()
    const backup = backupSqliteLedger(path, copy)
    for (let count = 0; count < 20; count++) await spend(first)
    await backup
    expect(await statusOf(first)).toBe('open')
    const closed = aChannel()
    await first.raise({ channel: closed, voucher: aVoucher(1n, 1n) })
    await note(first, 'later')

    const restored = open(copy)
    expectFrozen(messages, /it is a backup/)
    expect(await note(restored)).toBe('kept')
    expect(await restored.get(channel.channelId)).toMatchObject({
      status: 'closing',
      nonce: 1n,
      reserved: 1n,
    })
    expect(await spend(restored)).toMatchObject({ code: 'channel_closing' })
    const later = aChannel()
    expect(await restored.raise({ channel: later, voucher: aVoucher(1n, 1n) })).toMatchObject({ ok: true })
    await restored.close()
    const again = open(copy)
    expect(messages).toEqual([])
    expect(await statusOf(again)).toBe('closing')
    expect(await again.get(later.channelId)).toMatchObject({ status: 'open' })
  })

  test('a backup is whole, and nothing is overwritten by it', async () => {
    const path = await aLedgerFile(50)
    const copy = aPath()
    await backupSqliteLedger(path, copy)
    expect(readdirSync(folder).filter((name) => name.includes('.new'))).toEqual([])
    const [one, other] = [start(path), start(copy)]
    const { open, closing, ...sums } = await one.totals()
    expect(await other.totals()).toEqual({ open: 0, closing: open, ...sums })
    expect(closing).toBe(0)
    const bytes = readFileSync(copy)
    await expect(backupSqliteLedger(path, copy)).rejects.toThrow(/is there already/)
    expect(readFileSync(copy)).toEqual(bytes)
    await expect(backupSqliteLedger(aPath(), aPath())).rejects.toThrow(LedgerFileError)
    await expect(backupSqliteLedger(path, join(folder, 'nowhere', 'copy.db'))).rejects.toThrow(
      LedgerFileError,
    )
  })

  test('to another place', async () => {
    const { path, messages, open, statusOf, first } = await aProvider()
    await first.close()
    const copy = aPath()
    copyFileSync(path, copy)
    const moved = open(copy)
    expectFrozen(messages, /it is not where it was/)
    expect(await statusOf(moved)).toBe('closing')
    const original = open(path)
    expect(messages).toEqual([])
    expect(await statusOf(original)).toBe('open')
  })

  test('to another place, by an operator to be trusted', async () => {
    const { path, messages, open, statusOf, first } = await aProvider()
    await first.close()
    const copy = aPath()
    copyFileSync(path, copy)
    const moved = open(copy, { restored: 'trust' })
    expect(messages).toHaveLength(1)
    expect(messages[0]).toMatch(/is trusted/)
    expect(await statusOf(moved)).toBe('open')
    await moved.close()
    const again = open(copy)
    expect(messages).toEqual([])
    expect(await statusOf(again)).toBe('open')
  })

  test('over itself, after it was opened once more', async () => {
    const { path, messages, open, spend, statusOf, first } = await aProvider()
    await first.close()
    const copy = aPath()
    copyFileSync(path, copy)
    const second = open()
    expect(messages).toEqual([])
    await spend(second)
    await second.close()
    copyFileSync(copy, path)
    const restored = open()
    expectFrozen(messages, /it is older than it was/)
    expect(await statusOf(restored)).toBe('closing')
  })

  test('over itself, after a few minutes of use', async () => {
    const { path, messages, open, spend, statusOf, first } = await aProvider()
    const copy = aPath()
    await backupByHand(path, copy)
    for (let count = 0; count < 3; count++) {
      clock += minute
      await spend(first)
    }
    await first.close()
    for (const suffix of ['', '-wal'])
      if (existsSync(copy + suffix)) copyFileSync(copy + suffix, path + suffix)
    const restored = open()
    expectFrozen(messages, /it is older than it was/)
    expect(await statusOf(restored)).toBe('closing')
  })

  test('in the place of one that was removed, whose number it may get', async () => {
    const { path, messages, open, statusOf, first } = await aProvider()
    await first.close()
    const copy = aPath()
    copyFileSync(path, copy)
    rmSync(path)
    copyFileSync(copy, path)
    const restored = open()
    expectFrozen(messages, /it is not where it was/)
    expect(await statusOf(restored)).toBe('closing')
  })

  test('that of another ledger', async () => {
    const [one, other] = [await aProvider(), await aProvider()]
    await one.first.close()
    await other.first.close()
    copyFileSync(other.path, one.path)
    one.open()
    expectFrozen(one.messages, /it is not where it was, it is older than it was/)
  })

  test('one that went on is none: reopened, renamed, used by two, with a sidecar that is damaged or gone', async () => {
    const { path, messages, open, spend, statusOf, first } = await aProvider()
    const second = open()
    for (let count = 0; count < 4; count++) {
      clock += minute
      expect(await spend(count % 2 === 0 ? first : second)).toMatchObject({ ok: true })
    }
    await first.close()
    await second.close()
    const elsewhere = aPath()
    renameSync(path, elsewhere)
    renameSync(`${path}.opened`, `${elsewhere}.opened`)
    const sidecars = [undefined, '', 'half of a', Buffer.alloc(54)]
    for (const sidecar of sidecars) {
      if (sidecar === undefined) rmSync(`${elsewhere}.opened`)
      else writeFileSync(`${elsewhere}.opened`, sidecar)
      const ledger = open(elsewhere)
      expect(messages).toEqual([])
      expect(await statusOf(ledger)).toBe('open')
      await ledger.close()
    }
  })

  /** As `cp` does it while the provider runs. */
  async function backupByHand(path: string, copy: string): Promise<void> {
    for (const suffix of ['', '-wal']) copyFileSync(path + suffix, copy + suffix)
  }
})

describe('a file of version 2', () => {
  test('is upgraded, and says so once', async () => {
    const path = await aLedgerFile(3)
    await store.toVersion2(path)
    const messages: string[] = []
    const log = (message: string) => messages.push(message)
    await start(path, { log }).close()
    expect(messages).toEqual([expect.stringMatching(/Upgraded the ledger .* from schema version 2 to 3/)])
    await start(path, { log }).close()
    expect(messages).toHaveLength(1)
  })

  test('is upgraded when it is a backup, and frozen as one', async () => {
    const path = await aLedgerFile(3)
    await store.toVersion2(path)
    const copy = aPath()
    await backupSqliteLedger(path, copy)
    const restored = start(copy)
    expect(await restored.totals()).toMatchObject({ open: 0, closing: 3 })
    expect(await allOf(restored.notebook.read(''))).toEqual([])
  })

  test('is read by its accounts as it is', async () => {
    const path = await aLedgerFile(3)
    const read = async () => {
      const books = await openBooks(path)
      const read = [await allOf(books.days({})), await allOf(books.claims({}))].map((pages) => pages.flat())
      await books.close()
      return read
    }
    const accounts = await read()
    expect(accounts.map(({ length }) => length)).toEqual([6, 3])
    await store.toVersion2(path)
    expect(await read()).toEqual(accounts)
    const looker = new SQLite(path, { readonly: true })
    expect(looker.pragma('user_version', { simple: true })).toBe(2)
    looker.close()
  })
})

describe('a file that cannot be used is refused and left alone', () => {
  /** Opening must fail, name the file, and change neither it nor what lies beside it. */
  function expectRefusal(path: string, says: RegExp, ours = identity): void {
    const beside = () =>
      readdirSync(folder).filter((name) => join(folder, name).startsWith(path) && !name.endsWith('-shm'))
    const before = beside().map((name) => [name, readFileSync(join(folder, name))])
    const open = () => opened.push(sqliteLedger(path)(ours))
    expect(open).toThrow(LedgerFileError)
    expect(open).toThrow(says)
    expect(open).toThrow(path)
    for (const [name, bytes] of before) expect(readFileSync(join(folder, String(name)))).toEqual(bytes)
  }

  test.each([
    ['to nothing', () => 0, /empty or belongs to another program/],
    ['inside its header', () => 90, /cannot be read as a ledger|damaged/],
    ['inside its first page', () => 1000, /cannot be read as a ledger|damaged/],
    ['to one page', () => 4096, /cannot be read as a ledger|damaged/],
    ['in the middle', (size: number) => Math.floor(size / 8192) * 4096, /cannot be read as a ledger|damaged/],
    ['by a byte', (size: number) => size - 1, /cannot be read as a ledger|damaged/],
  ])('cut off %s', async (_, length, says) => {
    const path = await aLedgerFile()
    truncateSync(path, length(readFileSync(path).length))
    expectRefusal(path, says)
  })

  test('overwritten anywhere', async () => {
    const path = await aLedgerFile()
    const sound = readFileSync(path)
    for (let page = 0; page < sound.length / 4096; page++) {
      const damaged = Buffer.from(sound)
      damaged.fill(0xa5, page * 4096, page * 4096 + 512)
      writeFileSync(path, damaged)
      expectRefusal(path, /cannot be read as a ledger|damaged/)
    }
    writeFileSync(path, sound)
    expect((await start(path).totals()).open).toBe(200)
  })

  test('with an index that has lost a channel, which would look new', async () => {
    const path = await aLedgerFile(20)
    const editor = new SQLite(path)
    editor.unsafeMode()
    editor.pragma('writable_schema = ON')
    editor.exec(
      "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'channels_by_end') WHERE name = 'sqlite_autoindex_channels_1'",
    )
    editor.close()
    expectRefusal(path, /damaged|cannot be read/)
  })

  test('cut off, with work of a killed process still in its -wal file', async () => {
    const live = aPath()
    const ledger = start(live)
    await Promise.all(
      Array.from({ length: 100 }, () =>
        ledger.reserve({ channel: aChannel(), voucher: aVoucher(10n, 1n), quote: 5n }),
      ),
    )
    const path = aPath()
    for (const suffix of ['', '-wal']) copyFileSync(live + suffix, path + suffix)
    expect(readFileSync(`${path}-wal`).length).toBeGreaterThan(4096)
    truncateSync(path, 4000)
    writeFileSync(path, readFileSync(path).fill(0xa5, 200, 1200))
    expectRefusal(path, /empty|damaged|cannot be read/)
  })

  test('text', () => {
    const path = aPath()
    writeFileSync(path, 'vouchers: none\n'.repeat(1000))
    expectRefusal(path, /cannot be read as a ledger/)
  })

  test('another program’s database', () => {
    const path = aPath()
    const other = new SQLite(path)
    other.pragma('journal_mode = WAL')
    other.exec('CREATE TABLE channels (id BLOB)')
    expectRefusal(path, /belongs to another program/)
    other.close()
    expectRefusal(path, /belongs to another program/)
  })

  test.each([1, 4])('version %s’s', async (version) => {
    const path = await aLedgerFile(1)
    const editor = new SQLite(path)
    editor.pragma(`user_version = ${version}`)
    editor.close()
    expectRefusal(path, new RegExp(`schema version ${version}, not 3`))
  })

  test('another’s of version 2, which is not upgraded', async () => {
    const path = await aLedgerFile(1)
    await store.toVersion2(path)
    expectRefusal(path, /belongs to chain /, { ...identity, chainId: 137 })
  })

  test.each([
    ['chain', { chainId: 137 }],
    ['contract', { contract: identity.provider }],
    ['provider', { provider: identity.contract }],
  ])('another %s’s', async (name, other) => {
    const path = await aLedgerFile(1)
    expectRefusal(path, new RegExp(`belongs to ${name} `), { ...identity, ...other })
  })

  test('a database that is gone, which was there', async () => {
    const path = await aLedgerFile(1)
    rmSync(path)
    expectRefusal(path, /is missing, but .*opened says that it was there/)
    rmSync(`${path}.opened`)
    expect(await start(path).totals()).toMatchObject({ open: 0 })
  })

  test('a database that is gone, but not its -wal file', async () => {
    const path = aPath()
    writeFileSync(`${path}-wal`, 'what a killed process had not yet checkpointed')
    expectRefusal(path, /is missing, but its -wal file is there/)
    expect(readdirSync(folder)).not.toContain(path)
  })

  test('a folder that is not there, memory, and a folder', () => {
    expectRefusal(join(folder, 'nowhere', 'drain.db'), /cannot be created/)
    expectRefusal(':memory:', /is not a file/)
    expect(() => sqliteLedger(folder)(identity)).toThrow(LedgerFileError)
  })

  test('nothing is left of the making of a ledger', async () => {
    const path = await aLedgerFile(1)
    expect(
      readdirSync(folder).filter(
        (name) => name.includes('.new') || join(folder, name).startsWith(`${path}-`),
      ),
    ).toEqual([])
  })
})
