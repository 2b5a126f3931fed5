import type { Hex } from 'viem'
import { describe, expect, test } from 'vitest'
import { LedgerUnavailableError } from '../Errors.ts'
import { aChannel, aVoucher } from '../fixtures.ts'
import type { ChannelFacts, Ledger } from '../Ledger.ts'
import { allOf, codeOf, mustReserve, type Setting } from './Setting.ts'

/** Looking at all channels, and the end. */
export function listing({ start }: Setting): void {
  describe('channels and totals', () => {
    test('list what matches, and add it up', async () => {
      const ledger = await start()
      const facts = Array.from({ length: 30 }, () => aChannel())
      for (const [index, channel] of facts.entries()) {
        const quote = BigInt(index)
        const { reservationId } = await mustReserve(ledger, { channel, voucher: aVoucher(100n, 1n), quote })
        await ledger.capture(reservationId, quote)
        if (index % 3 === 0) await ledger.freeze(channel)
        if (index % 2 === 0) await ledger.recordClaimed({ ...channel, claimed: quote })
      }
      const numbers = async (filter: Parameters<Ledger['channels']>[0]) => {
        const found: number[] = []
        for await (const { channelId } of ledger.channels(filter))
          found.push(facts.findIndex((channel) => channel.channelId === channelId))
        return found
      }
      expect(await numbers({})).toEqual(facts.map((_, index) => index))
      expect(await numbers({ status: 'closing' })).toEqual([0, 3, 6, 9, 12, 15, 18, 21, 24, 27])
      expect(await numbers({ unclaimedOver: 22n })).toEqual([23, 25, 27, 29])
      expect(await numbers({ unclaimedOver: 22n, status: 'closing' })).toEqual([27])
      expect(await numbers({ status: 'closed' })).toEqual([])
      expect(await numbers({ unclaimedOver: 28n })).toEqual([29])
      expect(await numbers({ unclaimedOver: 29n })).toEqual([])
      const owing = { unclaimedOver: 0n }
      const never = 2n ** 80n
      expect(await numbers({ ...owing, due: { unclaimed: 25n, expiry: 0n } })).toEqual([
        3, 9, 15, 21, 25, 27, 29,
      ])
      expect(await numbers({ ...owing, due: { unclaimed: never, expiry: facts[0]?.expiry ?? 0n } })).toEqual(
        await numbers(owing),
      )
      expect(await numbers({ due: { unclaimed: never, expiry: 0n } })).toEqual(
        await numbers({ status: 'closing' }),
      )
      const charged = (29n * 30n) / 2n
      expect(await ledger.totals()).toEqual({
        ...{ open: 20, closing: 10, closed: 0, alarms: 0 },
        ...{ deposit: 30_000n, authorized: 3000n, charged, reserved: 0n, claimed: 210n, unused: 0n },
      })
    })
  })

  describe('totals', () => {
    test('go beyond 64 bits', async () => {
      const ledger = await start()
      const most = 2n ** 63n - 1n
      for (let number = 0; number < 3; number++) {
        const channel = aChannel({ deposit: most })
        await mustReserve(ledger, { channel, voucher: aVoucher(most, 1n), quote: most })
      }
      expect(await ledger.totals()).toMatchObject({ deposit: 3n * most, reserved: 3n * most, charged: 0n })
    })

    test('and lists, of more than are read in one go', async () => {
      const ledger = await start()
      const channels = Array.from({ length: 2300 }, () => aChannel())
      const raise = (channel: ChannelFacts) => ledger.raise({ channel, voucher: aVoucher(3n, 1n) })
      await Promise.all(channels.map(raise))
      const ids = (await allOf(ledger.channels())).map(({ channelId }) => channelId)
      expect(ids).toEqual(channels.map(({ channelId }) => channelId))
      expect(await ledger.totals()).toMatchObject({ open: 2300, authorized: 6900n })
    })
  })

  describe('ready', () => {
    test('says so', async () => {
      const ledger = await start()
      await ledger.ready()
    })
  })

  describe('glance', () => {
    test('shows what this process did last', async () => {
      const ledger = await start()
      const channel = aChannel()
      expect(await ledger.glance(channel.channelId)).toBeUndefined()
      const { reservationId } = await mustReserve(ledger, {
        ...{ channel, voucher: aVoucher(100n, 1n), quote: 60n, leaseMs: 100_000 },
      })
      const { state } = await ledger.capture(reservationId, 20n, { final: false })
      expect(await ledger.glance(channel.channelId)).toEqual(state)
      expect(await ledger.glance(channel.channelId.toUpperCase() as Hex)).toEqual(state)
    })

    test('does not show what failed', async () => {
      const ledger = await start()
      const channel = aChannel()
      await mustReserve(ledger, { channel, voucher: aVoucher(100n, 1n), quote: 60n })
      const wrong = ledger.reserve({
        ...{ channel: { ...channel, deposit: 5n }, voucher: aVoucher(100n, 2n), quote: 1n },
      })
      await expect(wrong).rejects.toMatchObject({ code: 'channel_mismatch' })
      expect(await ledger.glance(channel.channelId)).toMatchObject({ nonce: 1n, deposit: 1000n })
    })
  })

  describe('close', () => {
    test('finishes what was asked before, refuses what comes after', async () => {
      const ledger = await start()
      const channel = aChannel()
      const before = ledger.reserve({ channel, voucher: aVoucher(1n, 1n), quote: 1n })
      await ledger.close()
      expect(codeOf(await before)).toBe('ok')
      const after = ledger.reserve({ channel, voucher: aVoucher(1n, 2n), quote: 1n })
      await expect(after).rejects.toThrow(LedgerUnavailableError)
      await expect(ledger.get(channel.channelId)).rejects.toThrow(LedgerUnavailableError)
      await expect(ledger.ready()).rejects.toThrow(LedgerUnavailableError)
      await expect(ledger.prune()).rejects.toThrow(LedgerUnavailableError)
      await expect(ledger.outcome(channel.channelId, '0x01')).rejects.toThrow(LedgerUnavailableError)
      await expect(allOf(ledger.days())).rejects.toThrow(LedgerUnavailableError)
      await expect(allOf(ledger.claims())).rejects.toThrow(LedgerUnavailableError)
      await expect(allOf(ledger.channels())).rejects.toThrow(LedgerUnavailableError)
      await expect(ledger.totals()).rejects.toThrow(LedgerUnavailableError)
      await ledger.close()
    })
  })
}
