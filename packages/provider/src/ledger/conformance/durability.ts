import { afterEach, describe, expect, test } from 'vitest'
import { aChannel, aVoucher, shuffled } from '../fixtures.ts'
import type { Ledger } from '../Ledger.ts'
import { allOf, createClock, mustReserve, type OpenOptions } from './Setting.ts'

/** A store that outlives the ledger that is open on it. */
export type LastingStore = {
  /** Where a store may be made: a file that isn't there, an empty schema. */
  place: () => string | Promise<string>
  open: (place: string, options: OpenOptions) => Ledger | Promise<Ledger>
  /** Makes of a closed ledger one of schema version 2, which has no notes. */
  toVersion2: (place: string) => void | Promise<void>
  /** How `hammer.child.ts` opens it: a module beside it, the name of its opener, and what that takes. */
  inChild: (place: string) => { module: string; name: string; args: unknown[] }
}

/** What is there after reopening, and what two ledgers see of each other. */
export function durability(store: LastingStore): void {
  let opened: Ledger[] = []

  afterEach(async () => {
    for (const ledger of opened) await ledger.close()
    opened = []
  })

  async function aStart() {
    const clock = createClock()
    const place = await store.place()
    const start = async (): Promise<Ledger> => {
      const ledger = await store.open(place, { clock, log: () => {} })
      opened.push(ledger)
      return ledger
    }
    return { clock, place, start }
  }

  describe('durability', () => {
    test('everything is there after reopening', async () => {
      const { start } = await aStart()
      const first = await start()
      const channel = aChannel({ proof: '0xabcdef' })
      const paid = { channel, voucher: aVoucher(500n, 9n), quote: 100n }
      const reserved = await mustReserve(first, paid)
      await first.capture(reserved.reservationId, 40n, { final: false })
      await first.raise({ channel, voucher: aVoucher(30n, 12n) })
      await first.recordClaimed({ ...channel, claimed: 20n })
      await first.beginClaim(channel.channelId, 30n)
      const frozen = aChannel()
      await first.raise({ channel: frozen, voucher: aVoucher(30n, 1n) })
      await first.freeze(frozen)
      await first.finalize(frozen.channelId)
      const alarmed = aChannel({ claimed: 7n })
      await first.freeze(alarmed)
      const closed = aChannel()
      await first.raise({ channel: closed, voucher: aVoucher(30n, 1n) })
      await first.markClosed(closed.channelId)
      const ids = [channel, frozen, alarmed, closed].map(({ channelId }) => channelId)
      const statesOf = (ledger: Ledger) => Promise.all(ids.map((id) => ledger.get(id)))
      const states = await statesOf(first)
      const [totals, days] = [await first.totals(), await allOf(first.days())]
      await first.close()

      const second = await start()
      expect(await statesOf(second)).toEqual(states)
      expect([await second.totals(), await allOf(second.days())]).toEqual([totals, days])
      expect(states[0]?.claimable).toEqual(aVoucher(30n, 12n))
      expect(await second.reserve(paid)).toMatchObject({ code: 'invalid_nonce' })
      expect(await second.capture(reserved.reservationId, 70n)).toMatchObject({
        captured: 70n,
        state: { charged: 70n, requests: 1n },
      })
      expect(await second.raise({ channel: frozen, voucher: aVoucher(31n, 2n) })).toMatchObject({
        code: 'channel_closing',
      })
    })

    test('a reservation keeps its key, and an outcome is there after reopening', async () => {
      const { start } = await aStart()
      const first = await start()
      const channel = aChannel()
      const key = { id: `0x${'1d'.repeat(32)}`, fingerprint: `0x${'f1'.repeat(32)}` } as const
      const { reservationId } = await mustReserve(first, {
        ...{ channel, voucher: aVoucher(500n, 1n), quote: 10n, key },
      })
      await first.close()

      const second = await start()
      const retry = { channel, voucher: aVoucher(500n, 2n), quote: 10n, key }
      expect(await second.reserve(retry)).toMatchObject({ code: 'idempotency_in_flight' })
      const outcome = new TextEncoder().encode('what was answered')
      await second.capture(reservationId, 10n, { outcome })
      await second.close()

      const third = await start()
      expect(await third.outcome(channel.channelId, key.id)).toEqual({
        fingerprint: key.fingerprint,
        response: outcome,
      })
    })

    test('claims and the days of dropped channels are there after reopening', async () => {
      const { clock, start } = await aStart()
      const first = await start()
      const channel = aChannel({ expiry: BigInt(Math.floor(clock.now() / 1000)) + 3600n })
      const { reservationId } = await mustReserve(first, { channel, voucher: aVoucher(9n, 1n), quote: 9n })
      await first.capture(reservationId, 9n)
      await first.beginClaim(channel.channelId, 9n)
      const receipt = { txHash: `0x${'77'.repeat(32)}`, fee: 1n, gasCost: 2n ** 70n } as const
      await first.endClaim({ ...channel, claimed: 9n }, receipt)
      await first.markClosed(channel.channelId)
      const records = [await allOf(first.claims()), await allOf(first.days())]
      clock.advance(8 * 24 * 60 * 60 * 1000)
      expect(await first.prune()).toMatchObject({ channels: 1 })
      await first.close()

      const second = await start()
      expect(await second.get(channel.channelId)).toBeUndefined()
      expect([await allOf(second.claims()), await allOf(second.days())]).toEqual(records)
      expect(records).toMatchObject([[{ amount: 9n, ...receipt }], [{ charged: 9n }]])
    })

    test('notes are there after reopening', async () => {
      const { start } = await aStart()
      const first = await start()
      const write = (ledger: Ledger, key: string, text: string | null) =>
        ledger.notebook.write(key, (before) => ({ result: before, write: text }))
      await Promise.all(['a', 'b', 'c'].map((key) => write(first, key, `first ${key}`)))
      await write(first, 'b', null)
      // Closing finishes what was asked before.
      const last = write(first, 'c', 'second c')
      await first.close()
      expect(await last).toBe('first c')

      const second = await start()
      const notes = [
        { key: 'a', text: 'first a' },
        { key: 'c', text: 'second c' },
      ]
      expect(await allOf(second.notebook.read(''))).toEqual(notes)
      const third = await start()
      expect(await write(third, 'a', 'third a')).toBe('first a')
      expect(await write(second, 'a', null)).toBe('third a')
      expect(await allOf(third.notebook.read(''))).toEqual(notes.slice(1))
    })

    test('a ledger of version 2 gets its notebook when it is opened, and keeps all else', async () => {
      const { place, start } = await aStart()
      const first = await start()
      const channel = aChannel()
      const { state } = await mustReserve(first, { channel, voucher: aVoucher(9n, 1n), quote: 9n })
      await first.close()
      await store.toVersion2(place)

      for (const opening of ['first', 'second']) {
        const ledger = await start()
        expect(await ledger.get(channel.channelId), opening).toEqual(state)
        await ledger.notebook.write(opening, () => ({ result: undefined, write: opening }))
        await ledger.close()
      }
      expect(await allOf((await start()).notebook.read(''))).toHaveLength(2)
    })

    test('two ledgers on one store see each other', async () => {
      const { start } = await aStart()
      const [one, other] = [await start(), await start()]
      const request = { channel: aChannel(), voucher: aVoucher(100n, 1n), quote: 100n }
      const results = await Promise.all(
        shuffled(Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? one : other))).map((ledger) =>
          ledger.reserve(request),
        ),
      )
      expect(results.filter(({ ok }) => ok)).toHaveLength(1)
      await one.freeze(request.channel)
      const { channelId } = request.channel
      expect(await other.get(channelId)).toMatchObject({ status: 'closing', reserved: 100n })
    })

    test('what one of them remembers never outweighs what the other did', async () => {
      const { start } = await aStart()
      const [one, other] = [await start(), await start()]
      const channel = aChannel()
      for (let nonce = 1n; nonce <= 40n; nonce++) {
        const [ledger, rival] = nonce % 2n === 0n ? [one, other] : [other, one]
        const { reservationId } = await mustReserve(ledger, {
          ...{ channel, voucher: aVoucher(nonce * 10n, nonce), quote: 10n },
        })
        const again = { channel, voucher: aVoucher(nonce * 10n, nonce), quote: 0n }
        expect(await rival.reserve(again)).toMatchObject({ code: 'invalid_nonce' })
        expect(
          await rival.reserve({ ...again, voucher: aVoucher(0n, 1000n + nonce), quote: 1n }),
        ).toMatchObject({
          code: 'insufficient_funds',
        })
        expect(await rival.capture(reservationId, 10n)).toMatchObject({ state: { charged: nonce * 10n } })
      }
    })
  })
}
