import { describe, expect, test } from 'vitest'
import * as Day from '../Day.ts'
import { aChannel, aVoucher } from '../fixtures.ts'
import type { ChannelFacts, Ledger } from '../Ledger.ts'
import { allOf, codeOf, mustReserve, type Setting } from './Setting.ts'

/** What is forgotten, and what must not be. */
export function pruning({ clock, start }: Setting): void {
  const days = (count: number) => count * Day.milliseconds
  const inDays = (count: number) => BigInt(Math.floor((clock.now() + days(count)) / 1000))

  async function serve(ledger: Ledger, channel: ChannelFacts, cost: bigint): Promise<void> {
    const request = { channel, voucher: aVoucher(channel.deposit, 1n), quote: cost }
    const { reservationId } = await mustReserve(ledger, request)
    await ledger.capture(reservationId, cost)
  }

  describe('prune', () => {
    test('drops channels a week after they ended, and nothing that can still matter', async () => {
      const ledger = await start()
      const expiry = inDays(1)
      const unused = aChannel({ expiry })
      const paid = aChannel({ expiry })
      const owing = aChannel({ expiry })
      const announced = aChannel({ expiry })
      const alarmed = aChannel({ expiry, claimed: 5n })
      const closed = aChannel({ expiry })
      const closedEarly = aChannel({ expiry: inDays(300) })
      const lasting = aChannel({ expiry: inDays(300) })
      await ledger.raise({ channel: unused, voucher: aVoucher(1n, 1n) })
      for (const channel of [paid, owing, announced, closed, closedEarly, lasting])
        await serve(ledger, channel, 10n)
      await ledger.recordClaimed({ ...paid, claimed: 10n })
      await ledger.recordClaimed({ ...announced, claimed: 10n })
      await ledger.beginClaim(announced.channelId, 11n)
      await ledger.freeze(alarmed)
      await ledger.markClosed(closed.channelId)
      await ledger.markClosed(closedEarly.channelId)

      clock.advance(days(7.9))
      expect(await ledger.prune()).toEqual({ channels: 0, outcomes: 0 })
      clock.advance(days(0.2))
      expect(await ledger.prune()).toEqual({ channels: 2, outcomes: 0 })
      for (const { channelId } of [unused, closed]) {
        expect(await ledger.get(channelId)).toBeUndefined()
        expect(await ledger.glance(channelId)).toBeUndefined()
      }
      for (const { channelId } of [paid, owing, announced, alarmed, closedEarly, lasting])
        expect(await ledger.get(channelId)).toBeDefined()
      // Whoever asks about a channel that is still on chain, claimed from, must not look like one whose data was lost.
      expect(await ledger.freeze({ ...paid, claimed: 10n })).toMatchObject({ alarm: false, charged: 10n })

      for (const { channelId } of [paid, owing, alarmed]) await ledger.markClosed(channelId)
      expect(await ledger.prune()).toEqual({ channels: 0, outcomes: 0 })
      clock.advance(days(7.1))
      expect(await ledger.prune()).toEqual({ channels: 2, outcomes: 0 })
      expect(await ledger.get(alarmed.channelId)).toMatchObject({ alarm: true })
      expect(await ledger.totals()).toMatchObject({ open: 2, closing: 0, closed: 2, charged: 35n })
    })

    test('what was charged and claimed stays on record, and a channel’s outcomes go', async () => {
      const ledger = await start()
      const channel = aChannel({ expiry: inDays(2) })
      await serve(ledger, channel, 10n)
      clock.advance(days(1))
      const key = { id: '0x01', fingerprint: '0x02' } as const
      const { reservationId } = await mustReserve(ledger, {
        ...{ channel, voucher: aVoucher(500n, 2n), quote: 5n, key },
      })
      await ledger.capture(reservationId, 5n, { outcome: new Uint8Array([1]) })
      await ledger.beginClaim(channel.channelId, 15n)
      const receipt = { txHash: `0x${'77'.repeat(32)}`, fee: 0n, gasCost: 1n } as const
      await ledger.endClaim({ ...channel, claimed: 15n }, receipt)
      await ledger.markClosed(channel.channelId)
      const charged = await allOf(ledger.days())
      const claims = await allOf(ledger.claims())
      expect(charged).toMatchObject([{ charged: 10n }, { charged: 5n }])

      clock.advance(days(8.1))
      expect(await ledger.prune()).toEqual({ channels: 1, outcomes: 1 })
      expect(await ledger.outcome(channel.channelId, key.id)).toBeUndefined()
      expect(await allOf(ledger.days())).toEqual(charged)
      expect(await allOf(ledger.claims())).toEqual(claims)
    })

    test('a reservation that nobody ended keeps no channel', async () => {
      const ledger = await start()
      const channel = aChannel({ expiry: inDays(1) })
      const voucher = aVoucher(10n, 1n)
      const { reservationId } = await mustReserve(ledger, { channel, voucher, quote: 10n })
      clock.advance(days(8.1))
      expect(await ledger.prune()).toEqual({ channels: 1, outcomes: 0 })
      await expect(ledger.capture(reservationId, 1n)).rejects.toMatchObject({ code: 'ledger_usage' })
    })

    test('one that is still renewed does', async () => {
      const ledger = await start()
      const channel = aChannel({ expiry: inDays(1) })
      const { reservationId } = await mustReserve(ledger, {
        ...{ channel, voucher: aVoucher(10n, 1n), quote: 10n, leaseMs: days(9) },
      })
      clock.advance(days(8.1))
      expect(await ledger.prune()).toEqual({ channels: 0, outcomes: 0 })
      expect(await ledger.capture(reservationId, 10n)).toMatchObject({ captured: 10n })
    })

    test('goes through more than are read in one go, while others are served', async () => {
      const ledger = await start()
      const expiry = inDays(1)
      const raise = (channel: ChannelFacts) => ledger.raise({ channel, voucher: aVoucher(1n, 1n) })
      await Promise.all(Array.from({ length: 1100 }, () => raise(aChannel({ expiry }))))
      const served = aChannel({ expiry: inDays(300) })
      await raise(served)
      clock.advance(days(8.1))
      const pruning = ledger.prune()
      const request = { channel: served, voucher: aVoucher(10n, 2n), quote: 1n }
      expect(codeOf(await ledger.reserve(request))).toBe('ok')
      expect(await pruning).toEqual({ channels: 1100, outcomes: 0 })
      expect(await ledger.totals()).toMatchObject({ open: 1, reserved: 1n })
    })
  })
}
