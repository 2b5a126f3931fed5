import { describe, expect, test } from 'vitest'
import { aChannel, aVoucher } from '../fixtures.ts'
import { codeOf, mustReserve, type Setting } from './Setting.ts'

/** What a request is charged in the end, in time and late. */
export function capture({ clock, start }: Setting): void {
  describe('capture', () => {
    async function aReservation(quote = 50n, leaseMs = 100_000) {
      const ledger = await start()
      const channel = aChannel()
      const { reservationId } = await mustReserve(ledger, {
        channel,
        voucher: aVoucher(100n, 1n),
        quote,
        leaseMs,
      })
      return { ledger, channel, reservationId }
    }

    test('charges the cost and gives back the rest', async () => {
      const { ledger, reservationId } = await aReservation()
      expect(await ledger.capture(reservationId, 30n)).toMatchObject({
        ...{ ok: true, captured: 30n },
        state: { charged: 30n, reserved: 0n },
      })
    })

    test('charges at most what was reserved', async () => {
      const { ledger, reservationId } = await aReservation()
      expect(await ledger.capture(reservationId, 80n)).toMatchObject({
        captured: 50n,
        state: { charged: 50n },
      })
    })

    test('twice charges once', async () => {
      const { ledger, reservationId } = await aReservation()
      const results = await Promise.all([
        ledger.capture(reservationId, 30n),
        ledger.capture(reservationId, 30n),
      ])
      expect(results.map(codeOf)).toEqual(['ok', 'reservation_ended'])
      clock.advance(200_000)
      expect(codeOf(await ledger.capture(reservationId, 30n))).toBe('reservation_ended')
      expect(codeOf(await ledger.release(reservationId))).toBe('reservation_ended')
      expect(codeOf(await ledger.extend(reservationId, 1n))).toBe('reservation_ended')
      expect(codeOf(await ledger.renew(reservationId))).toBe('reservation_ended')
      expect((await ledger.capture(reservationId, 30n)).state).toMatchObject({ charged: 30n, reserved: 0n })
    })

    test('in steps: each says what it cost so far, a repeated one charges nothing', async () => {
      const { ledger, reservationId } = await aReservation()
      const step = (actual: bigint, final = false) => ledger.capture(reservationId, actual, { final })
      expect(await step(10n)).toMatchObject({ captured: 10n, state: { charged: 10n, reserved: 40n } })
      expect(await step(10n)).toMatchObject({ captured: 10n, state: { charged: 10n, reserved: 40n } })
      expect(await step(25n)).toMatchObject({ captured: 25n, state: { charged: 25n, reserved: 25n } })
      expect(await step(90n)).toMatchObject({ captured: 50n, state: { charged: 50n, reserved: 0n } })
      expect(await ledger.extend(reservationId, 20n)).toMatchObject({ ok: true, state: { reserved: 20n } })
      expect(await step(60n, true)).toMatchObject({ captured: 60n, state: { charged: 60n, reserved: 0n } })
      expect(codeOf(await step(70n))).toBe('reservation_ended')
    })

    test('of an expired lease takes what the channel can still bear, once', async () => {
      const { ledger, channel, reservationId } = await aReservation()
      clock.advance(100_000)
      const others = await mustReserve(ledger, { channel, voucher: aVoucher(100n, 2n), quote: 80n })
      expect(others.state.reserved).toBe(80n)
      expect(codeOf(await ledger.extend(reservationId, 1n))).toBe('reservation_ended')
      expect(codeOf(await ledger.renew(reservationId))).toBe('reservation_ended')
      expect(await ledger.capture(reservationId, 50n)).toMatchObject({
        captured: 20n,
        state: { charged: 20n },
      })
      await ledger.release(others.reservationId)
      expect(await ledger.capture(reservationId, 50n)).toMatchObject({ ok: false, state: { charged: 20n } })
    })

    test('of an expired lease in steps takes no more than was reserved', async () => {
      const { ledger, reservationId } = await aReservation()
      await ledger.capture(reservationId, 10n, { final: false })
      clock.advance(100_000)
      const step = (actual: bigint) => ledger.capture(reservationId, actual, { final: false })
      expect(await step(20n)).toMatchObject({ captured: 20n, state: { charged: 20n, reserved: 0n } })
      expect(await step(20n)).toMatchObject({ captured: 20n, state: { charged: 20n, reserved: 0n } })
      expect(await step(99n)).toMatchObject({ captured: 50n, state: { charged: 50n, reserved: 0n } })
    })

    test('of an expired lease takes nothing once closing; of a live one it still does', async () => {
      const { ledger, channel, reservationId } = await aReservation()
      const longer = await mustReserve(ledger, {
        channel,
        voucher: aVoucher(100n, 2n),
        quote: 40n,
        leaseMs: 500_000,
      })
      await ledger.freeze(channel)
      clock.advance(100_000)
      expect(await ledger.capture(reservationId, 50n)).toMatchObject({ ok: true, captured: 0n })
      expect(await ledger.capture(longer.reservationId, 40n)).toMatchObject({
        captured: 40n,
        state: { charged: 40n },
      })
    })

    test('an expired lease is forgotten after a day', async () => {
      const { ledger, channel, reservationId } = await aReservation()
      clock.advance(100_000)
      await ledger.raise({ channel, voucher: aVoucher(100n, 2n) })
      clock.advance(24 * 60 * 60 * 1000)
      expect(codeOf(await ledger.capture(reservationId, 50n))).toBe('reservation_ended')
    })

    test('a renewed lease holds as long as it is renewed', async () => {
      const { ledger, channel, reservationId } = await aReservation()
      for (let beat = 0; beat < 5; beat++) {
        clock.advance(70_000)
        expect(await ledger.renew(reservationId, 100_000)).toMatchObject({
          ok: true,
          state: { reserved: 50n },
        })
      }
      await ledger.freeze(channel)
      clock.advance(70_000)
      expect(codeOf(await ledger.renew(reservationId, 100_000))).toBe('ok')
      expect(await ledger.capture(reservationId, 50n)).toMatchObject({ captured: 50n })
    })

    test('what has expired is no longer reserved, for whoever looks', async () => {
      const { ledger, channel } = await aReservation()
      clock.advance(50_000)
      expect(await ledger.get(channel.channelId)).toMatchObject({ reserved: 50n })
      clock.advance(50_000)
      expect(await ledger.get(channel.channelId)).toMatchObject({ reserved: 0n })
      const next = await ledger.reserve({ channel, voucher: aVoucher(100n, 2n), quote: 100n })
      expect(next).toMatchObject({ ok: true, state: { reserved: 100n } })
    })

    test('release gives back what was not captured', async () => {
      const { ledger, reservationId } = await aReservation()
      await ledger.capture(reservationId, 10n, { final: false })
      expect(await ledger.release(reservationId)).toMatchObject({
        ok: true,
        state: { charged: 10n, reserved: 0n },
      })
      expect(codeOf(await ledger.capture(reservationId, 50n))).toBe('reservation_ended')
    })

    test('extend reserves out of what is authorized, or changes nothing', async () => {
      const { ledger, channel, reservationId } = await aReservation()
      expect(await ledger.extend(reservationId, 50n)).toMatchObject({ ok: true, state: { reserved: 100n } })
      const refused = await ledger.extend(reservationId, 1n)
      expect(refused).toMatchObject({ ok: false, code: 'insufficient_funds', state: { reserved: 100n } })
      await ledger.raise({ channel, voucher: aVoucher(101n, 2n) })
      expect(codeOf(await ledger.extend(reservationId, 1n))).toBe('ok')
    })
  })
}
