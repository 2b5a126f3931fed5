import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import SQLite from 'better-sqlite3'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { conformance } from './conformance.ts'
import { LedgerFileError, LedgerInvariantError, LedgerUnavailableError } from './Errors.ts'
import { aChannel, aVoucher, hammered, identity, shuffled } from './fixtures.ts'
import type { Ledger } from './Ledger.ts'
import { sqliteLedger } from './sqlite.ts'

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

/** A ledger with something in it, closed. */
async function aLedgerFile(channels = 200): Promise<string> {
  const path = aPath()
  const ledger = sqliteLedger(path)(identity)
  const pay = () => ledger.reserve({ channel: aChannel(), voucher: aVoucher(10n, 1n), quote: 5n })
  await Promise.all(Array.from({ length: channels }, pay))
  await ledger.close()
  return path
}

describe('sqlite', () => conformance((options) => sqliteLedger(aPath(), options)(identity), { runs: 60 }))

describe('durability', () => {
  test('everything is there after reopening', async () => {
    const path = aPath()
    const first = start(path)
    const channel = aChannel()
    const paid = { channel, voucher: aVoucher(500n, 9n), quote: 100n }
    const reserved = await first.reserve(paid)
    if (!reserved.ok) throw new Error(reserved.code)
    await first.capture(reserved.reservationId, 40n, { final: false })
    await first.raise({ channel, voucher: aVoucher(30n, 12n) })
    await first.recordClaimed({ ...channel, claimed: 20n })
    await first.beginClaim(channel.channelId, 30n)
    const frozen = aChannel()
    await first.raise({ channel: frozen, voucher: aVoucher(30n, 1n) })
    await first.freeze(frozen)
    await first.finalize(frozen.channelId)
    const states = [await first.get(channel.channelId), await first.get(frozen.channelId)]
    await first.close()

    const second = start(path)
    expect([await second.get(channel.channelId), await second.get(frozen.channelId)]).toEqual(states)
    expect(states[0]?.claimable).toEqual(aVoucher(30n, 12n))
    expect(await second.reserve(paid)).toMatchObject({ code: 'invalid_nonce' })
    expect(await second.capture(reserved.reservationId, 70n)).toMatchObject({
      captured: 70n,
      state: { charged: 70n },
    })
    expect(await second.raise({ channel: frozen, voucher: aVoucher(31n, 2n) })).toMatchObject({
      code: 'channel_closing',
    })
  })

  test('two ledgers on one file see each other', async () => {
    const path = aPath()
    const [one, other] = [start(path), start(path)]
    const request = { channel: aChannel(), voucher: aVoucher(100n, 1n), quote: 100n }
    const results = await Promise.all(
      shuffled(Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? one : other))).map((ledger) =>
        ledger.reserve(request),
      ),
    )
    expect(results.filter(({ ok }) => ok)).toHaveLength(1)
    await one.freeze(request.channel)
    expect(await other.get(request.channel.channelId)).toMatchObject({ status: 'closing', reserved: 100n })
  })

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
    await full.close()

    const roomy = start(path)
    for (const result of await Promise.all(requests.map((request) => roomy.reserve(request))))
      expect(result.ok).toBe(true)
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
    const ledger = start(path)
    const channels = [aChannel(), aChannel(), aChannel()]
    const pay = (nonce: bigint) =>
      Promise.allSettled(
        channels.map((channel) => ledger.reserve({ channel, voucher: aVoucher(10n, nonce), quote: 5n })),
      )
    await pay(1n)
    const editor = new SQLite(path)
    editor.exec('UPDATE channels SET charged = 7 WHERE number = 2')
    editor.close()
    const results = await pay(2n)
    expect(results).toMatchObject([{ value: { ok: true } }, { status: 'rejected' }, { value: { ok: true } }])
    await expect(ledger.get(channels[1]?.channelId ?? '0x')).rejects.toThrow(LedgerInvariantError)
  })
})

describe('processes', () => {
  test('three of them on one channel serve its deposit to the unit', async () => {
    const path = aPath() // which they also make, at the same time
    const { channelId, deposit } = hammered(0)
    const served = [0, 1, 2].map((index) => hammer('spend', path, index, 3))
    await Promise.all(served.map(({ ready }) => ready))
    const lines = await Promise.all(
      served.map(async ({ child, lines }) => {
        child.send('begin')
        return lines
      }),
    )
    expect(lines.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0])
    const nonces = lines.flatMap(({ lines }) => lines)
    expect(nonces).toHaveLength(Number(deposit))
    expect(new Set(nonces).size).toBe(nonces.length)
    expect(await start(path).get(channelId)).toMatchObject({ charged: deposit, reserved: 0n })
  })

  test('killed under load, keeps every nonce and reservation that it acknowledged', async () => {
    const path = aPath()
    const acknowledged = new Map([1, 2, 3, 4].map((lane) => [lane, [] as bigint[]]))
    for (const killAfter of [37, 211, 102]) {
      const { child, ready, lines } = hammer('load', path, 0, 1, killAfter)
      await ready
      child.send('begin')
      const { lines: printed, exitCode } = await lines
      expect(exitCode).toBeNull()
      expect(printed.length).toBeGreaterThanOrEqual(killAfter)
      for (const line of printed) {
        const [lane, nonce] = line.split(' ')
        acknowledged.get(Number(lane))?.push(BigInt(nonce ?? ''))
      }
    }
    const ledger = start(path)
    for (const [lane, nonces] of acknowledged) {
      const channel = hammered(lane)
      const state = await ledger.get(channel.channelId)
      expect(state?.reserved).toBeGreaterThanOrEqual(BigInt(nonces.length))
      for (const nonce of nonces) {
        const replay = { channel, voucher: aVoucher(channel.deposit, nonce), quote: 1n }
        expect(await ledger.reserve(replay)).toMatchObject({ code: 'invalid_nonce' })
        expect(await ledger.capture(`${channel.channelId}:${nonce}`, 1n)).toMatchObject({ captured: 1n })
      }
      const fresh = { channel, voucher: aVoucher(channel.deposit, (state?.nonce ?? 0n) + 1n), quote: 1n }
      expect(await ledger.reserve(fresh)).toMatchObject({ ok: true })
    }
  })
})

/** Starts a child on a job. `lines`: what it printed until its end, which comes by force after `killAfter` lines. */
function hammer(job: 'spend' | 'load', path: string, index: number, of: number, killAfter?: number) {
  const child: ChildProcess = fork(
    new URL('./hammer.child.ts', import.meta.url),
    [job, path, String(index), String(of)],
    {
      execArgv: [],
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    },
  )
  const printed: string[] = []
  const output = createInterface({ input: child.stdout ?? process.stdin })
  output.on('line', (line) => {
    printed.push(line)
    if (printed.length === killAfter) child.kill('SIGKILL')
  })
  const lines = Promise.all([once(child, 'exit'), once(output, 'close')]).then(([[exitCode]]) => ({
    lines: printed,
    exitCode: exitCode as number | null,
  }))
  const ready = Promise.race([
    once(child, 'message'),
    lines.then(() => {
      throw new Error('ended before it began')
    }),
  ])
  return { child, ready, lines }
}

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
      "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'leases_by_end') WHERE name = 'sqlite_autoindex_channels_1'",
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

  test('a later version’s', async () => {
    const path = await aLedgerFile(1)
    const editor = new SQLite(path)
    editor.pragma('user_version = 2')
    editor.close()
    expectRefusal(path, /schema version 2, not 1/)
  })

  test.each([
    ['chain', { chainId: 137 }],
    ['contract', { contract: identity.provider }],
    ['provider', { provider: identity.contract }],
  ])('another %s’s', async (name, other) => {
    const path = await aLedgerFile(1)
    expectRefusal(path, new RegExp(`belongs to ${name} `), { ...identity, ...other })
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
