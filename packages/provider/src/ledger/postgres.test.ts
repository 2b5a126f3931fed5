import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Postgres, postgresBin, startPostgres } from '../../test/startPostgres.ts'
import { conformance, durability, type OpenOptions, processes } from './conformance/index.ts'
import { createClock, mustReserve } from './conformance/Setting.ts'
import { aChannel, aVoucher, identity } from './fixtures.ts'
import type { Ledger } from './Ledger.ts'
import { postgresLedger } from './postgres.ts'

describe.skipIf(!postgresBin)('postgres', () => {
  let server: Postgres
  let schemas = 0
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
    schemas += 1
    return `ledger_${schemas}`
  }

  async function open(schema: string, { clock, ...options }: OpenOptions): Promise<Ledger> {
    const clocked = { schema, clockOffset: clock.offset, ...options }
    const ledger = postgresLedger(server.connection, clocked)(identity)
    // What there is to say about a new ledger is said now, and is not what the tests listen for.
    await ledger.ready()
    return ledger
  }

  conformance((options) => open(aSchema(), options), { runs: 40 })

  const store = {
    place: aSchema,
    open,
    async toVersion2(schema: string) {
      await server.sql(`DROP TABLE ${schema}.notes`, 'drain')
      await server.sql(`UPDATE ${schema}.meta SET value = '2' WHERE name = 'version'`, 'drain')
    },
    inChild: (schema: string) => ({
      module: './postgres.ts',
      name: 'postgresLedger',
      args: [server.connection, { schema }],
    }),
  }
  durability(store)
  processes(store)

  describe('two processes that remember the same channel', () => {
    async function aPair() {
      const schema = aSchema()
      const options = { clock: createClock(), log: () => {} }
      const [one, other] = [await open(schema, options), await open(schema, options)]
      opened.push(one, other)
      const channel = aChannel()
      const first = await mustReserve(one, { channel, voucher: aVoucher(100n, 1n), quote: 10n })
      await other.glance(channel.channelId)
      return { one, other, channel, first }
    }

    test('do not refuse what the other has made possible', async () => {
      const { one, other, channel, first } = await aPair()
      const second = await mustReserve(one, { channel, voucher: aVoucher(200n, 2n), quote: 10n })
      expect(await other.capture(second.reservationId, 10n)).toMatchObject({ ok: true, captured: 10n })
      await one.freeze(channel)
      expect(await other.finalize(channel.channelId)).toMatchObject({ code: 'reserved' })
      await one.capture(first.reservationId, 5n)
      expect(await other.finalize(channel.channelId)).toMatchObject({ ok: true, finalAmount: 15n })
    })

    test('do not take for a mistake what the other has made right', async () => {
      const { one, other, channel } = await aPair()
      await one.raise({ channel, voucher: aVoucher(300n, 2n) })
      expect(await other.beginClaim(channel.channelId, 300n)).toMatchObject({ ok: true })
      await one.freeze(channel)
      await expect(other.finalize(channel.channelId)).resolves.toMatchObject({ ok: false })
    })

    test('know for themselves what never changes', async () => {
      const { one, other, channel } = await aPair()
      await one.freeze(channel)
      expect(await other.glance(channel.channelId)).toMatchObject({
        status: 'open',
        deposit: channel.deposit,
      })
      expect(await other.get(channel.channelId)).toMatchObject({ status: 'closing' })
    })

    test('get through, however busy others are on it', async () => {
      const { one, channel } = await aPair()
      const schema = `ledger_${schemas}`
      let isOver = false
      // Each gives the row another version as fast as the server can: what was read is never what is written over.
      const rivals = Array.from({ length: 4 }, async () => {
        const rival = new pg.Client(server.connection)
        await rival.connect()
        const id = `'\\x${channel.channelId.slice(2)}'`
        while (!isOver)
          await rival.query(`UPDATE ${schema}.channels SET version = version + 1 WHERE id = ${id}`)
        await rival.end()
      })
      for (let nonce = 2n; nonce < 12n; nonce++) {
        const { reservationId } = await mustReserve(one, {
          ...{ channel, voucher: aVoucher(channel.deposit, nonce), quote: 1n },
        })
        expect(await one.capture(reservationId, 1n)).toMatchObject({ captured: 1n })
      }
      isOver = true
      await Promise.all(rivals)
      expect(await one.get(channel.channelId)).toMatchObject({ charged: 10n, reserved: 10n })
    })

    test('both get through, however busy the other is', async () => {
      const { one, other, channel } = await aPair()
      const deposit = channel.deposit
      let nonce = 1n
      async function serve(ledger: Ledger): Promise<void> {
        for (let count = 0; count < 40; count++) {
          nonce += 1n
          const { reservationId } = await mustReserve(ledger, {
            ...{ channel, voucher: aVoucher(deposit, nonce), quote: 1n },
          })
          expect(await ledger.capture(reservationId, 1n)).toMatchObject({ ok: true })
        }
      }
      await Promise.all([one, other, one, other, one, one].map(serve))
      expect(await one.get(channel.channelId)).toMatchObject({ charged: 240n, reserved: 10n })
    })
  })
})
