import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Postgres, postgresBin, startPostgres } from '../../test/startPostgres.ts'
import { allOf, mustReserve } from './conformance/Setting.ts'
import { LedgerFileError, LedgerInvariantError, LedgerUnavailableError } from './Errors.ts'
import { aChannel, aVoucher, identity } from './fixtures.ts'
import type { ChannelFacts, Ledger } from './Ledger.ts'
import { type PostgresConnection, postgresLedger } from './postgres.ts'

describe.skipIf(!postgresBin)('a PostgreSQL ledger that is opened', () => {
  let server: Postgres
  let places = 0
  let opened: Ledger[] = []

  beforeAll(async () => {
    server = await startPostgres()
  })
  afterAll(() => server?.close())
  afterEach(async () => {
    for (const ledger of opened) await ledger.close()
    opened = []
  })

  function aSchema(): string {
    places += 1
    return `opening_${places}`
  }

  type Options = postgresLedger.Options & { to?: Partial<PostgresConnection & object>; as?: typeof identity }

  function start(schema: string, { to = {}, as = identity, ...options }: Options = {}): Ledger {
    const connection = { ...server.connection, ...to }
    const ledger = postgresLedger(connection, { schema, log: () => {}, ...options })(as)
    opened.push(ledger)
    return ledger
  }

  /** A ledger with a channel that has paid, closed. */
  async function aLedger(): Promise<{ schema: string; channel: ChannelFacts }> {
    const schema = aSchema()
    const channel = aChannel()
    const ledger = start(schema)
    await mustReserve(ledger, { channel, voucher: aVoucher(100n, 1n), quote: 10n })
    await note(ledger, 'kept')
    await ledger.close()
    return { schema, channel }
  }

  const inDrain = (text: string) => server.sql(text, 'drain')

  async function toVersion2(schema: string): Promise<void> {
    await inDrain(`DROP TABLE ${schema}.notes`)
    await inDrain(`UPDATE ${schema}.meta SET value = '2' WHERE name = 'version'`)
  }

  const note = ({ notebook }: Ledger, text?: string) =>
    notebook.write('note', (before) => ({ result: before, write: text }))

  describe('of version 2', () => {
    test('is upgraded once, by many that start together', async () => {
      const { schema, channel } = await aLedger()
      await toVersion2(schema)
      const messages: string[] = []
      const log = (message: string) => messages.push(message)
      const ledgers = Array.from({ length: 8 }, () => start(schema, { log }))
      await Promise.all(ledgers.map((ledger, index) => note(ledger, String(index))))
      expect(messages).toEqual([expect.stringMatching(/Upgraded the ledger .* from schema version 2 to 3/)])
      for (const ledger of ledgers)
        expect(await ledger.get(channel.channelId)).toMatchObject({ status: 'open', reserved: 10n })
    })

    test('is upgraded when it was restored, and frozen', async () => {
      const { schema, channel } = await aLedger()
      await toVersion2(schema)
      await inDrain(`DELETE FROM ${schema}.meta WHERE name = 'origin'`)
      const ledger = start(schema)
      expect(await ledger.get(channel.channelId)).toMatchObject({ status: 'closing' })
      expect(await note(ledger)).toBeUndefined()
    })

    test('is left as it was by an upgrade that fails', async () => {
      const { schema } = await aLedger()
      await toVersion2(schema)
      await inDrain(`CREATE TABLE ${schema}.notes (somebody text)`)
      await expect(start(schema).ready()).rejects.toThrow(LedgerUnavailableError)
      const [version] = await inDrain(`SELECT value FROM ${schema}.meta WHERE name = 'version'`)
      expect(version).toEqual({ value: '2' })
    })
  })

  describe('is made', () => {
    test('once, by many that start together', async () => {
      const schema = aSchema()
      const messages: string[] = []
      const ledgers = Array.from({ length: 8 }, () =>
        start(schema, { log: (message) => messages.push(message) }),
      )
      await Promise.all(ledgers.map((ledger) => ledger.ready()))
      expect(messages).toEqual([expect.stringMatching(/Made a new ledger .*It knows no voucher/)])
      const request = { channel: aChannel(), voucher: aVoucher(10n, 1n), quote: 1n }
      const results = await Promise.all(ledgers.map((ledger) => ledger.reserve(request)))
      expect(results.filter(({ ok }) => ok)).toHaveLength(1)
    })

    test('in a schema that was made for a role which may make none', async () => {
      const schema = aSchema()
      await server.sql('CREATE ROLE narrow LOGIN')
      await inDrain(`CREATE SCHEMA ${schema} AUTHORIZATION narrow`)
      const narrow = { to: { user: 'narrow' } }
      await start(schema, narrow).ready()
      await expect(start(aSchema(), narrow).ready()).rejects.toMatchObject({
        code: 'ledger_unavailable',
        details: expect.stringContaining('permission denied'),
      })
    })
  })

  describe('is refused and left alone', () => {
    async function expectRefusal(schema: string, says: RegExp, options: Options = {}): Promise<void> {
      const dump = () =>
        server.tool('pg_dump', '--schema', schema, 'drain').replaceAll(/\\(un)?restrict .*/g, '')
      const before = dump()
      const ledger = start(schema, options)
      const failure = await ledger.ready().catch((error: unknown) => error)
      expect(failure).toBeInstanceOf(LedgerFileError)
      expect(failure).toMatchObject({ message: expect.stringMatching(says) })
      expect(failure).toMatchObject({ message: expect.stringContaining(`"${schema}"`) })
      const channel = aChannel({ provider: (options.as ?? identity).provider })
      await expect(ledger.reserve({ channel, voucher: aVoucher(10n, 1n), quote: 1n })).rejects.toThrow(says)
      expect(dump()).toBe(before)
    }

    test.each([
      ['chain', { chainId: 137 }],
      ['contract', { contract: identity.provider }],
      ['provider', { provider: identity.contract }],
    ])('when it is another %s’s', async (name, other) => {
      const { schema } = await aLedger()
      await expectRefusal(schema, new RegExp(`belongs to ${name} `), { as: { ...identity, ...other } })
    })

    test.each([1, 4])('when it is version %s’s', async (version) => {
      const { schema } = await aLedger()
      await inDrain(`UPDATE ${schema}.meta SET value = '${version}' WHERE name = 'version'`)
      await expectRefusal(schema, new RegExp(`schema version ${version}, not 3`))
    })

    test('when it is another’s of version 2', async () => {
      const { schema } = await aLedger()
      await toVersion2(schema)
      await expectRefusal(schema, /belongs to chain /, { as: { ...identity, chainId: 137 } })
    })

    test('when it is another program’s', async () => {
      const schema = aSchema()
      await inDrain(`CREATE SCHEMA ${schema} AUTHORIZATION drain; CREATE TABLE ${schema}.channels (id int)`)
      await expectRefusal(schema, /belongs to another program/)
    })

    test('when it is restored only in part', async () => {
      const { schema } = await aLedger()
      await inDrain(`DELETE FROM ${schema}.meta`)
      await expectRefusal(schema, /half restored/)
    })

    test('when its name is none', () => {
      expect(() => start('a"; DROP SCHEMA public; --')).toThrow(/not a plain schema name/)
    })
  })

  describe('that was copied or restored', () => {
    /** Dumps the ledger and loads it into another database of the server. */
    async function copy(schema: string, database: string): Promise<void> {
      const dump = `${server.folder}/${database}.dump`
      server.tool('pg_dump', '-Fc', '-f', dump, '--schema', schema, 'drain')
      await server.sql(`CREATE DATABASE ${database} OWNER drain`)
      server.tool('pg_restore', '-d', database, dump)
    }

    test('serves none of its open channels, and new ones', async () => {
      const { schema, channel } = await aLedger()
      // After the backup was made, the ledger went on.
      await copy(schema, 'restored')
      const late = { channel, voucher: aVoucher(200n, 2n), quote: 10n }
      await mustReserve(start(schema), late)

      const messages: string[] = []
      const restored = start(schema, {
        to: { database: 'restored' },
        log: (message) => messages.push(message),
      })
      expect(await restored.reserve(late)).toMatchObject({
        code: 'channel_closing',
        state: { reserved: 10n },
      })
      expect(messages).toEqual([expect.stringMatching(/RESTORED: .* its 1 open channels are frozen/)])
      await mustReserve(restored, { channel: aChannel(), voucher: aVoucher(10n, 1n), quote: 1n })
      const again = start(schema, { to: { database: 'restored' }, log: (message) => messages.push(message) })
      expect((await again.totals()).open).toBe(1)
      expect(await note(again)).toBe('kept')
      expect(messages).toHaveLength(1)
    })

    test('is trusted on request', async () => {
      const { schema, channel } = await aLedger()
      await copy(schema, 'trusted')
      const messages: string[] = []
      const restored = start(schema, {
        to: { database: 'trusted' },
        restored: 'trust',
        log: (message) => messages.push(message),
      })
      await mustReserve(restored, { channel, voucher: aVoucher(200n, 2n), quote: 10n })
      expect(messages).toEqual([expect.stringContaining('trusted, as configured')])
    })

    test('is frozen too when it takes the place of the one that is being served', async () => {
      const { schema, channel } = await aLedger()
      const ledger = start(schema)
      await mustReserve(ledger, { channel, voucher: aVoucher(200n, 2n), quote: 10n })
      const dump = `${server.folder}/same.dump`
      server.tool('pg_dump', '-Fc', '-f', dump, '--schema', schema, 'drain')
      const late = { channel, voucher: aVoucher(300n, 3n), quote: 10n }
      const { reservationId } = await mustReserve(ledger, late)
      server.tool('pg_restore', '--clean', '-d', 'drain', dump)

      // The first finds out; whoever asks again meets the ledger as it is now.
      await expect(ledger.reserve(late)).rejects.toThrow(LedgerUnavailableError)
      expect(await ledger.reserve(late)).toMatchObject({
        code: 'channel_closing',
        state: { authorized: 200n },
      })
      expect(await ledger.capture(reservationId, 10n)).toMatchObject({ code: 'reservation_ended' })
    })

    test('is not written to before it was examined, when it takes the place of the one that is used', async () => {
      const { schema, channel } = await aLedger()
      const dump = `${server.folder}/notes.dump`
      server.tool('pg_dump', '-Fc', '-f', dump, '--schema', schema, 'drain')
      const ledger = start(schema)
      await note(ledger, 'later')
      server.tool('pg_restore', '--clean', '-d', 'drain', dump)
      await expect(note(ledger, 'too late')).rejects.toThrow(LedgerUnavailableError)
      expect(await note(ledger)).toBe('kept')
      expect(await ledger.get(channel.channelId)).toMatchObject({ status: 'closing' })
    })

    test('is frozen on request, after a snapshot that nothing else gives away', async () => {
      const { schema, channel } = await aLedger()
      await inDrain(`DELETE FROM ${schema}.meta WHERE name = 'origin'`)
      const ledger = start(schema)
      expect(await ledger.get(channel.channelId)).toMatchObject({ status: 'closing' })
      await ledger.close()
      await mustReserve(start(schema), { channel: aChannel(), voucher: aVoucher(10n, 1n), quote: 1n })
    })

    test('is not made anew while it is away', async () => {
      const { schema, channel } = await aLedger()
      const ledger = start(schema)
      await mustReserve(ledger, { channel, voucher: aVoucher(200n, 2n), quote: 10n })
      await inDrain(`ALTER SCHEMA ${schema} RENAME TO ${schema}_away`)
      await expect(ledger.get(channel.channelId)).rejects.toThrow(LedgerUnavailableError)
      await expect(ledger.get(channel.channelId)).rejects.toThrow(/is gone/)
      await inDrain(`ALTER SCHEMA ${schema}_away RENAME TO ${schema}`)
      expect(await ledger.get(channel.channelId)).toMatchObject({ status: 'open', reserved: 20n })
    })

    test('is recognized by a role that may not ask the server who it is', async () => {
      await server.sql('CREATE DATABASE secretive OWNER drain')
      await server.sql('REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC', 'secretive')
      const schema = aSchema()
      const channel = aChannel()
      const there = { to: { database: 'secretive' } }
      const ledger = start(schema, there)
      await mustReserve(ledger, { channel, voucher: aVoucher(10n, 1n), quote: 1n })
      await mustReserve(start(schema, there), { channel, voucher: aVoucher(20n, 2n), quote: 1n })
      server.tool('pg_dump', '-Fc', '-f', `${server.folder}/secretive.dump`, '--schema', schema, 'secretive')
      server.tool('pg_restore', '--clean', '-d', 'secretive', `${server.folder}/secretive.dump`)
      expect(await start(schema, there).get(channel.channelId)).toMatchObject({ status: 'closing' })
    })

    test('is not what the housekeeping of the server makes of it', async () => {
      const { schema, channel } = await aLedger()
      await inDrain(`VACUUM FULL ${schema}.meta`)
      await inDrain(`VACUUM FREEZE ${schema}.meta`)
      await inDrain(`CLUSTER ${schema}.meta USING meta_pkey`)
      await mustReserve(start(schema), { channel, voucher: aVoucher(200n, 2n), quote: 10n })
    })
  })

  test('one that is opened again serves the channels that it knows', async () => {
    const { schema, channel } = await aLedger()
    const mixed = { ...identity, provider: '0x00000000000000000000000000000000000000Bb' as const }
    const ledger = start(schema, { as: mixed })
    await mustReserve(ledger, { channel, voucher: aVoucher(200n, 2n), quote: 10n })
    const { provider, consumer } = channel
    expect(await ledger.get(channel.channelId)).toMatchObject({ provider, consumer, reserved: 20n })
    expect(await allOf(ledger.channels())).toMatchObject([{ provider, consumer }])
  })

  describe('is not led astray', () => {
    test('by functions that others have made in public', async () => {
      // As it is by default before PostgreSQL 15. These fit better than the server's own.
      await server.sql('CREATE ROLE mallory LOGIN')
      await inDrain('GRANT CREATE ON SCHEMA public TO mallory')
      const trap = (name: string, types: string, returns: string) =>
        inDrain(
          `SET ROLE mallory; CREATE FUNCTION public.${name}(${types}) RETURNS ${returns} LANGUAGE plpgsql AS ` +
            `$$ BEGIN RAISE EXCEPTION 'TRAPPED as %', current_user; END $$`,
        )
      const schema = aSchema()
      await trap('hashtextextended', 'text, integer', 'bigint')
      await trap('json_to_recordset', 'text', 'SETOF record')
      const channel = aChannel()
      const ledger = start(schema)
      await mustReserve(ledger, { channel, voucher: aVoucher(100n, 1n), quote: 10n })
      await ledger.prune()
      await ledger.totals()
      expect(await allOf(ledger.channels())).toHaveLength(1)
      await inDrain(`DELETE FROM ${schema}.meta WHERE name = 'origin'`)
      expect(await start(schema).get(channel.channelId)).toMatchObject({ status: 'closing' })
    })

    test('by the settings of its role', async () => {
      const settings = {
        ...{ search_path: 'public', standard_conforming_strings: 'off', bytea_output: 'escape' },
        ...{ lock_timeout: '1ms', DateStyle: 'German', extra_float_digits: '-15', client_encoding: 'LATIN1' },
        ...{ default_transaction_isolation: 'serializable', default_transaction_deferrable: 'on' },
        ...{
          synchronous_commit: 'off',
          row_security: 'on',
          IntervalStyle: 'iso_8601',
          TimeZone: 'Asia/Tokyo',
        },
      }
      await server.sql('CREATE ROLE peculiar LOGIN')
      for (const [name, value] of Object.entries(settings))
        await server.sql(`ALTER ROLE peculiar SET ${name} = '${value}'`)
      const schema = aSchema()
      await inDrain(`CREATE SCHEMA ${schema} AUTHORIZATION peculiar`)
      const to = { user: 'peculiar' }
      const ledgers = [start(schema, { to }), start(schema, { to })]
      const channel = aChannel()
      const key = { id: '0x01', fingerprint: '0x02' } as const
      // Both are busy on one channel, so they lock it, and wait for each other.
      const served = Array.from({ length: 60 }, async (_, index) => {
        const ledger = ledgers[index % 2] as Ledger
        const voucher = aVoucher(1000n, BigInt(index))
        const { reservationId } = await mustReserve(ledger, {
          ...{ channel, voucher, quote: 1n, key: index === 0 ? key : undefined },
        })
        const outcome = index === 0 ? new Uint8Array([0, 92, 39, 255]) : undefined
        return ledger.capture(reservationId, 1n, { outcome })
      })
      for (const result of await Promise.all(served)) expect(result).toMatchObject({ captured: 1n })
      const again = start(schema, { to })
      expect(await again.get(channel.channelId)).toMatchObject({ charged: 60n, reserved: 0n })
      const outcome = await again.outcome(channel.channelId, key.id)
      expect(outcome?.response).toEqual(new Uint8Array([0, 92, 39, 255]))
    })

    test('by a local clock that is ahead, when it prunes first of all', async () => {
      const schema = aSchema()
      const channel = aChannel({ expiry: BigInt(Math.floor(Date.now() / 1000) + 3600) })
      const key = { id: '0x01', fingerprint: '0x02' } as const
      const request = { channel, voucher: aVoucher(100n, 1n), quote: 10n, key }
      const first = start(schema)
      const { reservationId } = await mustReserve(first, request)
      await first.capture(reservationId, 0n, { outcome: new Uint8Array([1]) })
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 30 * 86_400_000 })
      try {
        expect(await start(schema).prune()).toEqual({ channels: 0, outcomes: 0 })
      } finally {
        vi.useRealTimers()
      }
      expect(await start(schema).outcome(channel.channelId, key.id)).toBeDefined()
    })
  })

  test('outcomes share a transaction only as far as they are small, and all get through', async () => {
    const schema = aSchema()
    const ledger = start(schema)
    const channels = [aChannel({ deposit: 100_000n }), aChannel({ deposit: 100_000n })]
    const small = aChannel()
    const reserve = async (channel: ChannelFacts, nonce: bigint) => {
      const key = { id: `0x${nonce.toString(16).padStart(64, '0')}`, fingerprint: '0x02' } as const
      const voucher = aVoucher(channel.deposit, nonce)
      return (await mustReserve(ledger, { channel, voucher, quote: 1n, key })).reservationId
    }
    const nonces = Array.from({ length: 30 }, (_, index) => BigInt(index))
    const ids = await Promise.all(
      channels.flatMap((channel) => nonces.map((nonce) => reserve(channel, nonce))),
    )
    const last = await reserve(small, 1n)
    const size = 256 * 1024
    const outcomes = ids.map((_, index) => new Uint8Array(size).fill(index))
    const captures = ids.map((id, index) => ledger.capture(id, 1n, { outcome: outcomes[index] }))
    captures.push(ledger.capture(last, 1n, { outcome: new Uint8Array(5 * 1024 * 1024) }))
    for (const result of await Promise.all(captures)) expect(result).toMatchObject({ ok: true, captured: 1n })
    const written = await inDrain(
      `SELECT count(*)::integer AS count, sum(length(response))::integer AS bytes FROM ${schema}.outcomes GROUP BY xmin`,
    )
    const shared = written.filter(({ count }) => Number(count) > 1)
    expect(written.reduce((sum, { count }) => sum + Number(count), 0)).toBe(61)
    expect(shared.length).toBeGreaterThan(0)
    for (const { bytes } of shared) expect(Number(bytes)).toBeLessThanOrEqual(4 * 1024 * 1024)
    const [channel] = channels
    const kept = await ledger.outcome(channel?.channelId ?? '0x', `0x${'29'.padStart(64, '0')}`)
    expect(kept).toBeUndefined()
    const seventh = await ledger.outcome(channel?.channelId ?? '0x', `0x${'7'.padStart(64, '0')}`)
    expect(Buffer.from(seventh?.response ?? []).equals(outcomes[7] ?? Buffer.alloc(0))).toBe(true)
  })

  test('damaged rows do not hide the others from lists', async () => {
    const schema = aSchema()
    const messages: string[] = []
    const ledger = start(schema, { log: (message) => messages.push(message) })
    const expiry = BigInt(Math.floor(Date.now() / 1000) - 60 * 86_400)
    const channels = Array.from({ length: 15 }, (_, index) => aChannel(index === 14 ? { expiry } : {}))
    const day = { txHash: `0x${'11'.repeat(32)}`, fee: 0n, gasCost: 0n } as const
    for (const channel of channels) {
      const { reservationId } = await mustReserve(ledger, {
        channel,
        voucher: aVoucher(100n, 1n),
        quote: 10n,
      })
      await ledger.capture(reservationId, 10n)
    }
    for (const channel of channels.slice(0, 2)) {
      await ledger.beginClaim(channel.channelId, 5n)
      await ledger.endClaim({ ...channel, claimed: 5n }, day)
    }
    const all = channels.map(({ channelId }) => channelId)
    const within = (ids: readonly string[]) => ids.map((id) => `'\\x${id.slice(2)}'`).join()
    await inDrain(`UPDATE ${schema}.channels SET reserved = 1 WHERE id IN (${within(all.slice(1, 13))})`)
    await inDrain(`UPDATE ${schema}.claims SET fee = 0.5 WHERE channel IN (${within(all.slice(0, 1))})`)
    messages.length = 0
    for (const filter of [{}, { unclaimedOver: 0n }, { status: 'open' as const }]) {
      const listed = await allOf(ledger.channels(filter))
      expect(listed.map(({ channelId }) => channelId)).toEqual([all[0], all[13], all[14]])
      const said = messages.splice(0)
      expect(said).toHaveLength(11)
      for (const [index, message] of said.slice(0, 10).entries())
        expect(message).toContain(`DAMAGED: channel ${all[index + 1]}`)
      expect(said[10]).toMatch(/2 more rows/)
    }
    expect(await allOf(ledger.claims())).toMatchObject([{ channelId: all[1], amount: 5n }])
    expect(messages).toEqual([expect.stringContaining(`DAMAGED: the claim on channel ${all[0]}`)])
    expect(await allOf(ledger.days())).toHaveLength(15)
    expect(await ledger.prune()).toEqual({ channels: 0, outcomes: 0 })
  })

  test('a damaged row serves nobody, and hinders nobody', async () => {
    const schema = aSchema()
    const channels = [aChannel(), aChannel(), aChannel()]
    const pay = (ledger: Ledger, nonce: bigint) =>
      Promise.allSettled(
        channels.map((channel) => ledger.reserve({ channel, voucher: aVoucher(10n, nonce), quote: 5n })),
      )
    await pay(start(schema), 1n)
    const damaged = channels[1]?.channelId ?? '0x'
    await inDrain(
      `UPDATE ${schema}.channels SET charged = 7, version = 1 WHERE id = '\\x${damaged.slice(2)}'`,
    )
    const ledger = start(schema)
    expect(await pay(ledger, 2n)).toMatchObject([
      { value: { ok: true } },
      { status: 'rejected', reason: { code: 'ledger_invariant' } },
      { value: { ok: true } },
    ])
    await expect(ledger.get(damaged)).rejects.toThrow(LedgerInvariantError)
    await inDrain(`UPDATE ${schema}.channels SET charged = 0, rest = rest || '\\x00', version = 2`)
    await expect(start(schema).get(damaged)).rejects.toThrow(LedgerInvariantError)
  })

  describe('does not say the password', () => {
    const everythingOf = (error: unknown) => inspect(error, { depth: 20, showHidden: true })

    test.each([
      ['when nobody listens', 'postgresql://drain:s3cr3t@127.0.0.1:1/drain', /127\.0\.0\.1:1/],
      ['when there is no such host', 'postgresql://drain:s3cr3t@nowhere.invalid/drain', /nowhere\.invalid/],
    ])('%s', async (_, url, says) => {
      const ledger = postgresLedger(url, { log: () => {} })(identity)
      const error = await ledger.ready().catch((error: unknown) => error)
      await ledger.close()
      expect(error).toMatchObject({ code: 'ledger_unavailable', message: expect.stringMatching(says) })
      expect(everythingOf(error)).not.toContain('s3cr3t')
    })

    test('when the server does not take it', async () => {
      await server.sql("CREATE ROLE guarded LOGIN PASSWORD 'another'")
      await server.sql(
        "COPY (SELECT 'local all guarded scram-sha-256', 'local all all trust') TO PROGRAM " +
          `'tr "\\t" "\\n" > ${server.folder}/data/pg_hba.conf'`,
      )
      await server.sql('SELECT pg_reload_conf()')
      const guarded = { user: 'guarded', password: 's3cr3t' }
      const error = await start(aSchema(), { to: guarded })
        .ready()
        .catch((error: unknown) => error)
      expect(error).toMatchObject({ message: expect.stringContaining('does not let this role in') })
      expect(everythingOf(error)).not.toContain('s3cr3t')
    })

    test('when it makes the URL unreadable', () => {
      const url = 'postgresql://drain:s3cr3t:/@[host/drain'
      let error: unknown
      try {
        postgresLedger(url)(identity)
      } catch (caught) {
        error = caught
      }
      expect(error).toMatchObject({ code: 'ledger_usage' })
      expect(everythingOf(error)).not.toContain('s3cr3t')
    })
  })
})
