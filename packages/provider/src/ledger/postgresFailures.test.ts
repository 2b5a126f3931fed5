import { execFileSync } from 'node:child_process'
import { chownSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Postgres, postgresBin, startPostgres } from '../../test/startPostgres.ts'
import { mustReserve } from './conformance/Setting.ts'
import { LedgerFileError, LedgerUnavailableError } from './Errors.ts'
import { aChannel, aVoucher, identity } from './fixtures.ts'
import type { ChannelFacts, Ledger, ReserveResult } from './Ledger.ts'
import { postgresLedger } from './postgres.ts'

describe.skipIf(!postgresBin)('a PostgreSQL ledger whose server fails', () => {
  let server: Postgres
  let schemas = 0
  let schema = ''
  let opened: Ledger[] = []

  beforeAll(async () => {
    server = await startPostgres()
  })
  afterAll(() => server?.close())
  beforeEach(() => {
    schemas += 1
    schema = `failures_${schemas}`
  })
  afterEach(async () => {
    for (const ledger of opened) await ledger.close()
    opened = []
  })

  function start(options: postgresLedger.Options = {}, database = 'drain'): Ledger {
    const connection = { ...server.connection, database }
    const ledger = postgresLedger(connection, { schema, log: () => {}, ...options })(identity)
    opened.push(ledger)
    return ledger
  }

  const killConnections = () =>
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'drain'")

  /** Requests of one unit each, eight at a time on each of four channels, until `stop`, whatever the server does. */
  function load(ledger: Ledger) {
    const channels = Array.from({ length: 4 }, () => aChannel({ deposit: 1_000_000n }))
    const acknowledged: { channel: ChannelFacts; nonce: bigint; captured: boolean }[] = []
    const unknown: { channel: ChannelFacts; nonce: bigint }[] = []
    const waiting: { count: number; resolve: () => void }[] = []
    let isStopped = false
    let isBack: Promise<void> | undefined

    async function serve(channel: ChannelFacts, next: () => bigint): Promise<void> {
      while (!isStopped) {
        const nonce = next()
        try {
          const voucher = aVoucher(nonce + 1n, nonce)
          const reserved = await mustReserve(ledger, { channel, voucher, quote: 1n, leaseMs: 3_600_000 })
          const served = { channel, nonce, captured: false }
          acknowledged.push(served)
          for (const { resolve } of waiting.filter(({ count }) => acknowledged.length >= count)) resolve()
          const { ok } = await ledger.capture(reserved.reservationId, 1n)
          served.captured = ok
        } catch (error) {
          // Nothing but this may come of it, and what it was about is open.
          expect(error).toBeInstanceOf(LedgerUnavailableError)
          unknown.push({ channel, nonce })
          await isBack
        }
      }
    }

    const workers = channels.flatMap((channel) => {
      let nonce = -1n
      const next = () => ++nonce
      return Array.from({ length: 8 }, () => serve(channel, next))
    })
    return {
      channels,
      unknown,
      /** Does something to the server; requests that fail meanwhile are not followed by others until it is done. */
      async during(work: () => Promise<void>) {
        isBack = work()
        await isBack
      },
      /** Until this many more were acknowledged. */
      more: (count: number) =>
        new Promise<void>((resolve) => waiting.push({ count: acknowledged.length + count, resolve })),
      async stop() {
        isStopped = true
        await Promise.all(workers)
        return acknowledged
      },
    }
  }

  /** Everything that was acknowledged is there, and no voucher is good twice. */
  async function expectNothingLost(ledger: Ledger, { channels, unknown, stop }: ReturnType<typeof load>) {
    const acknowledged = await stop()
    for (const channel of channels) {
      const mine = acknowledged.filter((served) => served.channel === channel)
      const state = await ledger.get(channel.channelId)
      const captured = BigInt(mine.filter(({ captured }) => captured).length)
      const most = BigInt(mine.length + unknown.filter((request) => request.channel === channel).length)
      expect(state?.charged).toBeGreaterThanOrEqual(captured)
      expect((state?.charged ?? 0n) + (state?.reserved ?? 0n)).toBeGreaterThanOrEqual(BigInt(mine.length))
      expect((state?.charged ?? 0n) + (state?.reserved ?? 0n)).toBeLessThanOrEqual(most)
      const replays = mine.map(({ nonce }) =>
        ledger.reserve({ channel, voucher: aVoucher(nonce + 1n, nonce), quote: 0n }),
      )
      for (const replay of await Promise.all(replays)) expect(replay).toMatchObject({ code: 'invalid_nonce' })
      for (const { nonce } of mine.filter(({ captured }) => !captured)) {
        const late = await ledger.capture(`${channel.channelId}:${nonce}`, 1n)
        expect(late.state.charged).toBeGreaterThanOrEqual(1n)
      }
    }
    // Where nobody knows whether it was written, a retry of the same voucher is served at most once.
    for (const { channel, nonce } of unknown) {
      const again = () => ledger.reserve({ channel, voucher: aVoucher(nonce + 1n, nonce), quote: 0n })
      const results: ReserveResult[] = [await again(), await again()]
      expect(results.filter(({ ok }) => ok).length).toBeLessThanOrEqual(1)
    }
  }

  test('loses nothing when connections are cut under load, and goes on by itself', async () => {
    const ledger = start()
    const running = load(ledger)
    await running.more(50)
    for (let cut = 0; cut < 5; cut++) {
      await killConnections()
      await running.more(50)
    }
    await expectNothingLost(ledger, running)
  })

  test('loses nothing when the server crashes under load, and goes on when it is back', async () => {
    const ledger = start()
    const running = load(ledger)
    for (const count of [1, 120, 300]) {
      await running.more(count)
      await running.during(async () => {
        await server.stop('immediate')
        await server.start()
      })
    }
    await running.more(50)
    await expectNothingLost(ledger, running)
    expect(running.unknown.length).toBeGreaterThan(0)
  })

  test('refuses requests while the server hangs, and goes on when it is back', async () => {
    const ledger = start({ timeoutMs: 1000 })
    const channel = aChannel()
    const pay = (nonce: bigint) => ledger.reserve({ channel, voucher: aVoucher(100n, nonce), quote: 1n })
    expect(await pay(1n)).toMatchObject({ ok: true })
    server.pause()
    try {
      const results = await Promise.allSettled([
        pay(2n),
        pay(3n),
        ledger.get(channel.channelId),
        ledger.ready(),
      ])
      for (const result of results)
        expect(result).toMatchObject({ status: 'rejected', reason: { code: 'ledger_unavailable' } })
    } finally {
      server.resume()
    }
    await expect
      .poll(() =>
        ledger.ready().then(
          () => 'ready',
          () => 'away',
        ),
      )
      .toBe('ready')
    expect(await pay(4n)).toMatchObject({ ok: true })
    const known = (await ledger.get(channel.channelId))?.reserved ?? 0n
    const again = [await pay(2n), await pay(3n)]
    const isServed = BigInt(again.filter(({ ok }) => ok).length)
    // The two that nobody heard of were either written or not, and count once.
    expect(known + isServed).toBe(4n)
  })

  test('loses no count on a note when connections are cut', async () => {
    const ledger = start()
    const counted: number[] = []
    let unknown = 0
    const total = 400
    async function count(): Promise<void> {
      while (counted.length + unknown < total) {
        try {
          const before = await ledger.notebook.write('count', (text = '0') => {
            return { result: Number(text), write: String(Number(text) + 1) }
          })
          counted.push(before)
        } catch (error) {
          expect(error).toBeInstanceOf(LedgerUnavailableError)
          unknown += 1
        }
      }
    }
    const counters = Promise.all([count(), count(), count(), count()])
    for (const moment of [50, 150, 250]) {
      await expect.poll(() => counted.length + unknown, { interval: 1 }).toBeGreaterThan(moment)
      await killConnections()
    }
    await counters
    expect(new Set(counted).size).toBe(counted.length)
    const end = await ledger.notebook.write('count', (text) => ({ result: Number(text) }))
    expect(end).toBeGreaterThanOrEqual(counted.length)
    expect(end).toBeLessThanOrEqual(counted.length + unknown)
  })

  test.each([
    ['is refused', "RAISE EXCEPTION 'no'"],
    ['is cut off', 'PERFORM pg_terminate_backend(pg_backend_pid())'],
  ])('does not tell of a note as written when its commit %s', async (_, statement) => {
    const ledger = start()
    const write = (text?: string) =>
      ledger.notebook.write('note', (before) => ({ result: before, write: text }))
    await write('before')
    await server.sql(
      `CREATE FUNCTION ${schema}.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${statement}; RETURN NULL; END $$`,
      'drain',
    )
    await server.sql(
      `CREATE CONSTRAINT TRIGGER fail AFTER UPDATE ON ${schema}.notes DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION ${schema}.fail()`,
      'drain',
    )
    await expect(write('after')).rejects.toThrow(LedgerUnavailableError)
    expect(await write()).toBe('before')
  })

  test('is not held up by a note that somebody keeps locked, save on that note', async () => {
    const ledger = start({ timeoutMs: 1000 })
    const write = (key: string) => ledger.notebook.write(key, () => ({ result: undefined, write: 'text' }))
    await write('other')
    const somebody = new pg.Client({ ...server.connection })
    await somebody.connect()
    await somebody.query('SELECT pg_advisory_lock(hashtextextended($1, 0))', [`drain note "${schema}" held`])
    const held = [write('held'), write('held')].map((step) => step.catch((error: unknown) => error))
    for (let count = 0; count < 20; count++) await write('other')
    for (const step of held) expect(await step).toBeInstanceOf(LedgerUnavailableError)
    await somebody.end()
    await write('held')
  })

  test('closes while the server hangs', async () => {
    const ledger = start({ timeoutMs: 500 })
    const request = { channel: aChannel(), voucher: aVoucher(10n, 1n), quote: 1n }
    await ledger.ready()
    server.pause()
    try {
      const asked = expect(ledger.reserve(request)).rejects.toThrow(LedgerUnavailableError)
      await ledger.close()
      await asked
    } finally {
      server.resume()
    }
  })

  test('is not held up by a channel that somebody keeps locked, save on that channel', async () => {
    const ledger = start({ timeoutMs: 1000 })
    const [locked, other] = [aChannel(), aChannel()]
    const pay = (channel: ChannelFacts, nonce: bigint) =>
      ledger.reserve({ channel, voucher: aVoucher(100n, nonce), quote: 1n })
    await Promise.all([pay(locked, 1n), pay(other, 1n)])
    const somebody = new pg.Client({ ...server.connection })
    await somebody.connect()
    await somebody.query('BEGIN')
    await somebody.query(
      `SELECT 1 FROM ${schema}.channels WHERE id = '\\x${locked.channelId.slice(2)}' FOR UPDATE`,
    )
    const held = pay(locked, 2n).catch((error: unknown) => error)
    for (let nonce = 2n; nonce < 20n; nonce++) expect(await pay(other, nonce)).toMatchObject({ ok: true })
    expect(await held).toBeInstanceOf(LedgerUnavailableError)
    await somebody.end()
    expect(await pay(locked, 3n)).toMatchObject({ ok: true })
  })

  test('freezes its channels when the server goes on from an archive, on another timeline', async () => {
    const messages: string[] = []
    const ledger = start({ log: (message) => messages.push(message) })
    const channel = aChannel()
    await mustReserve(ledger, { channel, voucher: aVoucher(10n, 1n), quote: 1n })
    await server.stop('fast')
    const signal = join(server.folder, 'data', 'recovery.signal')
    writeFileSync(signal, '')
    const { uid, gid } = statSync(join(server.folder, 'data'))
    chownSync(signal, uid, gid)
    await server.start({ restore_command: 'false' })
    await expect
      .poll(() =>
        ledger.get(channel.channelId).then(
          (state) => state?.status,
          () => 'away',
        ),
      )
      .toBe('closing')
    expect(messages.filter((message) => message.startsWith('RESTORED'))).toHaveLength(1)
    const refused = await ledger.reserve({ channel, voucher: aVoucher(10n, 2n), quote: 1n })
    expect(refused).toMatchObject({ code: 'channel_closing' })
  })

  test('refuses a server that does not wait for its disk', async () => {
    const ledger = start()
    await ledger.ready()
    await server.stop('fast')
    await server.start({ fsync: 'off' })
    await expect.poll(() => ledger.ready().catch((error: unknown) => error)).toBeInstanceOf(LedgerFileError)
    await expect(start().ready()).rejects.toThrow(/fsync = off/)
    await start({ allowFsyncOff: true }).ready()
    await server.stop('fast')
    await server.start()
  })

  // A small disk is mounted for it.
  test.skipIf(process.getuid?.() !== 0)(
    'refuses what a full disk cannot take, and goes on when there is room',
    async () => {
      const small = join(server.folder, 'small')
      mkdirSync(small)
      const { uid, gid } = statSync(join(server.folder, 'data'))
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=24m,uid=${uid},gid=${gid},mode=700`, 'tmpfs', small])
      try {
        await server.sql(`CREATE TABLESPACE small LOCATION '${small}'`)
        await server.sql('CREATE DATABASE small OWNER drain TABLESPACE small')
        const ledger = start({}, 'small')
        const channel = aChannel()
        await mustReserve(ledger, { channel, voucher: aVoucher(100n, 1n), quote: 1n })
        // One connection for all of it: a new one may want to write a file of its own, and there is no room.
        const filling = new pg.Client({ ...server.connection, user: 'postgres', database: 'small' })
        await filling.connect()
        await filling.query('CREATE TABLE filler (text text) WITH (autovacuum_enabled = false)')
        await filling.query('ALTER TABLE filler ALTER text SET STORAGE PLAIN')
        // The pages that a failed statement has taken stay taken. Less and less fits, at last not a page.
        for (const rows of [100_000, 1000, 100, 10, 1]) {
          const fill = `INSERT INTO filler SELECT repeat('x', 5000) FROM generate_series(1, ${rows})`
          await expect
            .poll(() => filling.query(fill).catch(String), { interval: 1 })
            .toContain('No space left')
        }

        const requests = Array.from({ length: 200 }, () => ({
          ...{ channel: aChannel(), voucher: aVoucher(10n, 1n), quote: 5n },
        }))
        const results = await Promise.allSettled(requests.map((request) => ledger.reserve(request)))
        const refused = requests.filter((_, index) => results[index]?.status === 'rejected')
        expect(refused.length).toBeGreaterThan(0)
        for (const result of results.filter(({ status }) => status === 'rejected')) {
          expect(result).toMatchObject({
            reason: { code: 'ledger_unavailable', message: expect.stringContaining('no room left') },
          })
        }
        for (const { channel } of refused) expect(await ledger.get(channel.channelId)).toBeUndefined()
        expect(await ledger.get(channel.channelId)).toMatchObject({ reserved: 1n })

        await filling.query('DROP TABLE filler')
        await filling.end()
        await server.sql('CHECKPOINT')
        for (const result of await Promise.all(refused.map((request) => ledger.reserve(request))))
          expect(result).toMatchObject({ ok: true })
        await ledger.close()
        await server.sql('DROP DATABASE small')
        await server.sql('DROP TABLESPACE small')
      } finally {
        execFileSync('umount', ['-l', small])
      }
    },
  )
})
