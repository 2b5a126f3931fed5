import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Postgres, postgresBin, startPostgres } from '../../test/startPostgres.ts'
import { mustReserve } from './conformance/Setting.ts'
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
    await ledger.close()
    return { schema, channel }
  }

  const inDrain = (text: string) => server.sql(text, 'drain')

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

    test('when it is a later version’s', async () => {
      const { schema } = await aLedger()
      await inDrain(`UPDATE ${schema}.meta SET value = '2' WHERE name = 'version'`)
      await expectRefusal(schema, /schema version 2, not 1/)
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
