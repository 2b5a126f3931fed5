import { describe, expect, test } from 'vitest'
import { LedgerUsageError } from '../Errors.ts'
import { aChannel, aVoucher } from '../fixtures.ts'
import { codeOf, mustReserve, type Setting } from './Setting.ts'

/** From open to closed, and never back. */
export function closing({ clock, start }: Setting): void {
  describe('closing', () => {
    test('freeze, then finalize, then closed', async () => {
      const ledger = await start()
      const channel = aChannel()
      const first = await mustReserve(ledger, { channel, voucher: aVoucher(100n, 1n), quote: 50n })
      await expect(ledger.finalize(channel.channelId)).rejects.toThrow(LedgerUsageError)
      expect(await ledger.freeze(channel)).toMatchObject({ status: 'closing', reserved: 50n })

      const request = { channel, voucher: aVoucher(200n, 2n), quote: 1n }
      expect(codeOf(await ledger.reserve(request))).toBe('channel_closing')
      expect(codeOf(await ledger.raise(request))).toBe('channel_closing')
      expect(codeOf(await ledger.extend(first.reservationId, 1n))).toBe('channel_closing')
      expect(await ledger.finalize(channel.channelId)).toMatchObject({
        code: 'reserved',
        state: { reserved: 50n },
      })

      await ledger.capture(first.reservationId, 30n)
      expect(await ledger.finalize(channel.channelId)).toMatchObject({ ok: true, finalAmount: 30n })
      expect(await ledger.finalize(channel.channelId)).toMatchObject({ ok: true, finalAmount: 30n })
      expect(await ledger.markClosed(channel.channelId)).toMatchObject({ status: 'closed', finalAmount: 30n })
      expect(await ledger.finalize(channel.channelId)).toMatchObject({ ok: true, finalAmount: 30n })
      expect((await ledger.freeze(channel)).status).toBe('closed')
      expect(codeOf(await ledger.reserve(request))).toBe('channel_closing')
    })

    test('finalize does not wait for a lease that ran out, and no late capture changes it', async () => {
      const ledger = await start()
      const channel = aChannel()
      const late = await mustReserve(ledger, {
        channel,
        voucher: aVoucher(100n, 1n),
        quote: 50n,
        leaseMs: 100_000,
      })
      await ledger.freeze(channel)
      clock.advance(100_000)
      expect(await ledger.finalize(channel.channelId)).toMatchObject({ ok: true, finalAmount: 0n })
      expect(await ledger.capture(late.reservationId, 50n)).toMatchObject({
        captured: 0n,
        state: { charged: 0n },
      })
    })

    test('a channel that never paid can be frozen', async () => {
      const ledger = await start()
      const channel = aChannel()
      expect(await ledger.freeze(channel)).toMatchObject({ status: 'closing', authorized: 0n })
      expect(await ledger.finalize(channel.channelId)).toMatchObject({ finalAmount: 0n })
      expect(codeOf(await ledger.reserve({ channel, voucher: aVoucher(1n, 1n), quote: 1n }))).toBe(
        'channel_closing',
      )
    })

    test('a channel closed under a running request owes nothing more', async () => {
      const ledger = await start()
      const channel = aChannel()
      const { reservationId } = await mustReserve(ledger, {
        channel,
        voucher: aVoucher(100n, 1n),
        quote: 50n,
      })
      expect(await ledger.markClosed(channel.channelId)).toMatchObject({ status: 'closed', reserved: 0n })
      expect(await ledger.capture(reservationId, 50n)).toMatchObject({ ok: false, state: { charged: 0n } })
      expect(await ledger.markClosed(aChannel().channelId)).toBeUndefined()
    })
  })
}
