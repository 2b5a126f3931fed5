import { describe, expect, test } from 'vitest'
import { aChannel, aVoucher } from '../fixtures.ts'
import { codeOf, mustReserve, type Setting } from './Setting.ts'

/** What a stream has reserved for its next step. */
export function hold({ clock, start }: Setting): void {
  describe('hold', () => {
    /** 100 signed, 10 of them reserved for a minute and a half. */
    async function aStream() {
      const ledger = await start()
      const channel = aChannel()
      const voucher = aVoucher(100n, 1n)
      const { reservationId } = await mustReserve(ledger, { channel, voucher, quote: 10n, leaseMs: 100_000 })
      const step = (actual: bigint, hold: bigint) => ledger.capture(reservationId, actual, { hold })
      return { ledger, channel, reservationId, step }
    }

    test('captures a step and reserves the next in one', async () => {
      const { step } = await aStream()
      expect(await step(10n, 10n)).toMatchObject({
        ...{ ok: true, captured: 10n, held: 10n },
        state: { charged: 10n, reserved: 10n },
      })
      expect(await step(15n, 30n)).toMatchObject({
        ...{ captured: 15n, held: 30n },
        state: { charged: 15n, reserved: 30n },
      })
    })

    test('goes as far as the vouchers do, and further when they do', async () => {
      const { ledger, channel, step } = await aStream()
      expect(await step(10n, 500n)).toMatchObject({ captured: 10n, held: 90n, state: { reserved: 90n } })
      const next = { channel, voucher: aVoucher(100n, 2n), quote: 1n }
      expect(codeOf(await ledger.reserve(next))).toBe('insufficient_funds')
      await ledger.raise({ channel, voucher: aVoucher(200n, 3n) })
      expect(await step(10n, 500n)).toMatchObject({ captured: 10n, held: 190n })
    })

    test('gives back what it lowers', async () => {
      const { ledger, channel, step } = await aStream()
      await step(0n, 100n)
      expect(await step(1n, 2n)).toMatchObject({ captured: 1n, held: 2n, state: { reserved: 2n } })
      expect(await step(1n, 0n)).toMatchObject({ captured: 1n, held: 0n, state: { reserved: 0n } })
      expect(codeOf(await ledger.reserve({ channel, voucher: aVoucher(100n, 2n), quote: 99n }))).toBe('ok')
      expect(await step(50n, 50n)).toMatchObject({ captured: 1n, held: 0n })
    })

    test('of two streams never holds the same unit twice', async () => {
      const { ledger, channel, step } = await aStream()
      const other = await mustReserve(ledger, { channel, voucher: aVoucher(100n, 2n), quote: 10n })
      const both = await Promise.all([
        step(5n, 100n),
        ledger.capture(other.reservationId, 5n, { hold: 100n }),
        step(10n, 100n),
      ])
      expect(both).toMatchObject([{ held: 85n }, { held: 5n }, { held: 80n }])
      expect(await ledger.get(channel.channelId)).toMatchObject({ charged: 15n, reserved: 85n })
    })

    test('on a closing channel only lowers', async () => {
      const { ledger, channel, step } = await aStream()
      await ledger.freeze(channel)
      expect(await step(2n, 50n)).toMatchObject({ captured: 2n, held: 8n })
      expect(await step(2n, 5n)).toMatchObject({ captured: 2n, held: 5n })
      expect(await step(2n, 8n)).toMatchObject({ captured: 2n, held: 5n, state: { reserved: 5n } })
      expect(await step(9n, 8n)).toMatchObject({ captured: 7n, held: 0n, state: { reserved: 0n } })
    })

    test('of an expired lease holds nothing', async () => {
      const { ledger, channel, step } = await aStream()
      clock.advance(100_000)
      expect(await step(3n, 50n)).toMatchObject({ captured: 3n, held: 0n, state: { reserved: 0n } })
      expect(await step(40n, 50n)).toMatchObject({ captured: 10n, held: 0n, state: { charged: 10n } })
      expect(await ledger.get(channel.channelId)).toMatchObject({ reserved: 0n })
    })

    test('and an end at once cannot be', async () => {
      const { ledger, reservationId } = await aStream()
      const usage = { code: 'ledger_usage' }
      await expect(ledger.capture(reservationId, 1n, { final: true, hold: 1n })).rejects.toMatchObject(usage)
      await expect(ledger.capture(reservationId, 1n, { hold: -1n })).rejects.toMatchObject(usage)
    })
  })
}
