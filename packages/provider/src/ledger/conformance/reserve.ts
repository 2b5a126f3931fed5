import type { Hex } from 'viem'
import { describe, expect, test } from 'vitest'
import { ChannelMismatchError, LedgerUsageError } from '../Errors.ts'
import { aChannel, aVoucher, shuffled } from '../fixtures.ts'
import type { ChannelFacts, ChannelState } from '../Ledger.ts'
import { codeOf, countOf, mustReserve, type Setting } from './Setting.ts'

/** What a voucher buys, and what it never buys twice. */
export function reserve({ start }: Setting): void {
  describe('reserve', () => {
    test('writes the channel down, burns the nonce, raises, reserves', async () => {
      const ledger = await start()
      const channel = aChannel()
      const voucher = aVoucher(100n, 7n)
      const { state, reservationId } = await mustReserve(ledger, { channel, voucher, quote: 60n })
      expect(reservationId).toBe(`${channel.channelId}:7`)
      expect(state).toEqual({
        ...channel,
        ...{ status: 'open', authorized: 100n, charged: 0n, requests: 0n, reserved: 60n, claiming: 0n },
        ...{ finalAmount: undefined, alarm: false, nonce: 7n, highest: voucher, claimable: undefined },
        firstSeen: expect.any(BigInt),
      } satisfies ChannelState)
      expect(await ledger.get(channel.channelId)).toEqual(state)
    })

    test('one voucher, 50 requests at once: one is served', async () => {
      const ledger = await start()
      const request = { channel: aChannel(), voucher: aVoucher(100n, 1n), quote: 2n }
      const results = await Promise.all(Array.from({ length: 50 }, () => ledger.reserve(request)))
      expect(countOf(results, 'ok')).toBe(1)
      expect(countOf(results, 'invalid_nonce')).toBe(49)
    })

    test('50 rising vouchers at once, in any order: all are served', async () => {
      const ledger = await start()
      const channel = aChannel()
      const nonces = shuffled(Array.from({ length: 50 }, (_, index) => BigInt(index + 1)))
      // The highest first: the others are judged against what it authorized.
      nonces.sort((a, b) => Number(b === 50n) - Number(a === 50n))
      const results = await Promise.all(
        nonces.map((nonce) => ledger.reserve({ channel, voucher: aVoucher(nonce * 20n, nonce), quote: 20n })),
      )
      expect(countOf(results, 'ok')).toBe(50)
      expect(await ledger.get(channel.channelId)).toMatchObject({ authorized: 1000n, reserved: 1000n })
    })

    test('a thousand requests at once on 50 units serve 50', async () => {
      const ledger = await start()
      const channel = aChannel()
      const results = await Promise.all(
        Array.from({ length: 1000 }, (_, nonce) =>
          ledger.reserve({ channel, voucher: aVoucher(50n, BigInt(nonce)), quote: 1n }),
        ),
      )
      expect(countOf(results, 'ok')).toBe(50)
      expect(countOf(results, 'insufficient_funds')).toBe(950)
    })

    test('a nonce refused for funds stays burned when there is credit', async () => {
      const ledger = await start()
      const channel = aChannel()
      const voucher = aVoucher(10n, 1n)
      const refused = await ledger.reserve({ channel, voucher, quote: 11n })
      expect(refused).toMatchObject({
        ok: false,
        code: 'insufficient_funds',
        state: { authorized: 10n, nonce: 1n },
      })
      await ledger.raise({ channel, voucher: aVoucher(500n, 2n) })
      expect(codeOf(await ledger.reserve({ channel, voucher, quote: 11n }))).toBe('invalid_nonce')
      expect(codeOf(await ledger.reserve({ channel, voucher: aVoucher(10n, 3n), quote: 11n }))).toBe('ok')
    })

    test('more than the deposit is no voucher: its nonce is not burned', async () => {
      const ledger = await start()
      const channel = aChannel()
      const refused = await ledger.reserve({ channel, voucher: aVoucher(1001n, 1n), quote: 1n })
      expect(refused).toMatchObject({ ok: false, code: 'exceeds_deposit', state: { authorized: 0n } })
      expect(codeOf(await ledger.reserve({ channel, voucher: aVoucher(2n ** 255n, 1n), quote: 1n }))).toBe(
        'exceeds_deposit',
      )
      expect(codeOf(await ledger.reserve({ channel, voucher: aVoucher(1000n, 1n), quote: 1000n }))).toBe('ok')
    })

    test('nonces: out of order, never twice, at most 1,024 below the highest', async () => {
      const ledger = await start()
      const channel = aChannel()
      const pay = async (nonce: bigint) =>
        codeOf(await ledger.reserve({ channel, voucher: aVoucher(1000n, nonce), quote: 0n }))
      expect(await pay(5000n)).toBe('ok')
      expect(await pay(5000n)).toBe('invalid_nonce')
      expect(await pay(3976n)).toBe('ok')
      expect(await pay(3976n)).toBe('invalid_nonce')
      expect(await pay(3975n)).toBe('invalid_nonce')
      expect(await pay(4999n)).toBe('ok')
      expect(await pay(5001n)).toBe('ok')
      expect(await pay(3976n)).toBe('invalid_nonce')
      expect(await pay(3977n)).toBe('ok')
      expect(await pay(5000n)).toBe('invalid_nonce')
      expect(await pay(2n ** 63n - 1n)).toBe('ok')
      expect(await pay(2n ** 63n - 1025n)).toBe('ok')
      expect(await pay(5002n)).toBe('invalid_nonce')
      expect(await pay(2n ** 63n)).toBe('invalid_nonce')
      expect(await pay(-1n)).toBe('invalid_nonce')
    })

    test('a channel id in other letters is the same channel', async () => {
      const ledger = await start()
      const channel = aChannel()
      const voucher = aVoucher(100n, 1n)
      await mustReserve(ledger, { channel, voucher, quote: 10n })
      const shouted = { ...channel, channelId: channel.channelId.toUpperCase() as Hex }
      expect(codeOf(await ledger.reserve({ channel: shouted, voucher, quote: 10n }))).toBe('invalid_nonce')
      const mixed = { ...channel, channelId: channel.channelId.replace('abc', 'aBc') as Hex }
      expect(codeOf(await ledger.reserve({ channel: mixed, voucher, quote: 10n }))).toBe('invalid_nonce')
      expect(await ledger.get(mixed.channelId)).toMatchObject({ channelId: channel.channelId, reserved: 10n })
      expect((await ledger.totals()).open).toBe(1)
    })

    test('facts that disagree are an error, save an expiry that a reorg moved', async () => {
      const ledger = await start()
      const channel = aChannel()
      const pay = (facts: Partial<ChannelFacts>, nonce: bigint) =>
        ledger.reserve({ channel: { ...channel, ...facts }, voucher: aVoucher(10n, nonce), quote: 1n })
      await pay({}, 1n)
      const stranger = '0x00000000000000000000000000000000000000dd'
      await expect(pay({ deposit: 2000n }, 2n)).rejects.toThrow(ChannelMismatchError)
      await expect(pay({ consumer: stranger }, 2n)).rejects.toThrow(ChannelMismatchError)
      await expect(pay({ provider: stranger }, 2n)).rejects.toThrow(ChannelMismatchError)
      const { state } = await pay({ expiry: channel.expiry - 2n }, 2n)
      expect(state.expiry).toBe(channel.expiry - 2n)
      expect((await pay({}, 3n)).state.expiry).toBe(channel.expiry - 2n)
    })

    test('an operation that fails leaves those beside it alone', async () => {
      const ledger = await start()
      const channel = aChannel()
      const pay = (nonce: bigint, facts: Partial<ChannelFacts> = {}) =>
        ledger.reserve({ channel: { ...channel, ...facts }, voucher: aVoucher(100n, nonce), quote: 1n })
      const results = await Promise.allSettled([pay(1n), pay(2n, { deposit: 5n }), pay(3n)])
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      expect(await ledger.get(channel.channelId)).toMatchObject({ reserved: 2n, nonce: 3n })
      expect(codeOf(await pay(2n))).toBe('ok')
    })

    test('amounts go up to 2^63 - 1; a larger deposit is refused', async () => {
      const ledger = await start()
      const most = 2n ** 63n - 1n
      const channel = aChannel({ deposit: most, expiry: most })
      const { reservationId } = await mustReserve(ledger, {
        channel,
        voucher: aVoucher(most, most),
        quote: most,
      })
      expect(await ledger.capture(reservationId, most)).toMatchObject({ ok: true, captured: most })
      expect(await ledger.get(channel.channelId)).toMatchObject({ charged: most, nonce: most })
      await expect(
        ledger.reserve({ channel: aChannel({ deposit: most + 1n }), voucher: aVoucher(1n, 1n), quote: 1n }),
      ).rejects.toThrow(LedgerUsageError)
    })

    test('what cannot be is a usage error, and writes nothing', async () => {
      const ledger = await start()
      const channel = aChannel()
      const voucher = aVoucher(1n, 1n)
      const asked = [
        ledger.reserve({ channel, voucher, quote: -1n }),
        ledger.reserve({ channel, voucher, quote: 1n, leaseMs: 0 }),
        ledger.reserve({ channel, voucher: { ...voucher, amount: -1n }, quote: 1n }),
        ledger.reserve({ channel, voucher: { ...voucher, signature: '0xabc' }, quote: 1n }),
        ledger.reserve({ channel: { ...channel, channelId: '0xabcd' }, voucher, quote: 1n }),
        ledger.reserve({ channel: { ...channel, claimed: 1001n }, voucher, quote: 1n }),
        ledger.capture('0xabcd:1', 1n),
        ledger.capture(`${channel.channelId}:1`, 1n),
        ledger.capture(`${channel.channelId}:1`, -1n),
        ledger.finalize(channel.channelId),
      ]
      for (const outcome of await Promise.allSettled(asked))
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ledger_usage' } })
      expect(await ledger.get(channel.channelId)).toBeUndefined()
    })
  })
}
