import fc from 'fast-check'
import type { Hex } from 'viem'
import { describe, expect, test } from 'vitest'
import * as Day from '../Day.ts'
import { aChannel, aVoucher } from '../fixtures.ts'
import type { ChannelFacts, DayRange, Ledger } from '../Ledger.ts'
import { allOf, mustReserve, type Setting } from './Setting.ts'

/** What was charged when, and what was claimed. */
export function accounting({ clock, start }: Setting): void {
  const today = () => Day.format(Day.at(clock.now()))
  const txHash = (number: number): Hex => `0x${number.toString(16).padStart(64, '0')}`

  const daysOf = (ledger: Ledger, range?: DayRange) => allOf(ledger.days(range))
  const claimsOf = (ledger: Ledger, range?: DayRange) => allOf(ledger.claims(range))

  /** A ledger, and a function that serves a request. */
  async function aShop() {
    const ledger = await start()
    let nonce = 0n
    async function serve(channel: ChannelFacts, cost: bigint): Promise<void> {
      nonce += 1n
      const voucher = aVoucher(channel.deposit, nonce)
      const { reservationId } = await mustReserve(ledger, { channel, voucher, quote: cost })
      await ledger.capture(reservationId, cost)
    }
    return { ledger, serve }
  }

  describe('requests', () => {
    test('are counted once when they are charged, and not when they are free', async () => {
      const ledger = await start()
      const channel = aChannel()
      const reserve = async (nonce: bigint) =>
        (await mustReserve(ledger, { channel, voucher: aVoucher(500n, nonce), quote: 20n })).reservationId
      const [stream, free, released] = [await reserve(1n), await reserve(2n), await reserve(3n)]
      for (const actual of [0n, 5n, 5n, 9n]) await ledger.capture(stream, actual, { final: false })
      await ledger.capture(stream, 12n)
      await ledger.capture(free, 0n)
      await ledger.release(released)
      expect(await ledger.get(channel.channelId)).toMatchObject({ charged: 12n, requests: 1n })
    })

    test('a late capture counts when something could be charged', async () => {
      const ledger = await start()
      const channel = aChannel()
      const request = { channel, quote: 50n, leaseMs: 100_000 }
      const late = await mustReserve(ledger, { ...request, voucher: aVoucher(50n, 1n) })
      clock.advance(100_000)
      const later = await mustReserve(ledger, { ...request, voucher: aVoucher(50n, 2n) })
      await ledger.capture(late.reservationId, 50n)
      expect(await ledger.get(channel.channelId)).toMatchObject({ charged: 0n, requests: 0n })
      clock.advance(100_000)
      await ledger.capture(later.reservationId, 50n)
      expect(await ledger.get(channel.channelId)).toMatchObject({ charged: 50n, requests: 1n })
    })
  })

  describe('days', () => {
    test('show what each channel was charged, today included', async () => {
      const { ledger, serve } = await aShop()
      const [one, other] = [aChannel(), aChannel({ consumer: '0x00000000000000000000000000000000000000dd' })]
      expect(await daysOf(ledger)).toEqual([])
      const first = today()
      await serve(one, 10n)
      await serve(other, 7n)
      await serve(one, 5n)
      clock.advance(Day.milliseconds)
      await serve(other, 1n)
      clock.advance(3 * Day.milliseconds)
      const last = today()
      await serve(one, 4n)
      const row = (
        day: string,
        { channelId, consumer }: ChannelFacts,
        charged: bigint,
        requests: bigint,
      ) => ({
        ...{ day, channelId, consumer, charged, requests },
      })
      const second = Day.format((Day.parse(first) ?? 0) + 1)
      const all = [
        row(first, one, 15n, 2n),
        row(first, other, 7n, 1n),
        row(second, other, 1n, 1n),
        row(last, one, 4n, 1n),
      ]
      const days = await daysOf(ledger)
      expect(days).toEqual(expect.arrayContaining(all))
      expect(days).toHaveLength(4)
      expect(days.map(({ day }) => day)).toEqual([first, first, second, last])
      expect((await daysOf(ledger, { from: second })).map(({ day }) => day)).toEqual([second, last])
      expect((await daysOf(ledger, { to: second })).map(({ day }) => day)).toEqual([first, first, second])
      expect(await daysOf(ledger, { from: second, to: second })).toEqual([row(second, other, 1n, 1n)])
      expect(await daysOf(ledger, { from: '2001-01-01', to: '2001-12-31' })).toEqual([])
    })

    test('a stream over midnight is charged on both', async () => {
      const ledger = await start()
      const channel = aChannel()
      const { reservationId } = await mustReserve(ledger, {
        ...{ channel, voucher: aVoucher(500n, 1n), quote: 100n, leaseMs: 2 * Day.milliseconds },
      })
      await ledger.capture(reservationId, 30n, { final: false })
      clock.advance(Day.milliseconds)
      await ledger.capture(reservationId, 70n)
      expect(await daysOf(ledger)).toMatchObject([
        { charged: 30n, requests: 1n },
        { charged: 40n, requests: 0n },
      ])
    })

    test('what an alarm charges is of its day', async () => {
      const { ledger, serve } = await aShop()
      const channel = aChannel()
      await serve(channel, 10n)
      clock.advance(Day.milliseconds)
      await ledger.recordClaimed({ ...channel, claimed: 300n })
      expect(await daysOf(ledger)).toMatchObject([
        { charged: 10n, requests: 1n },
        { charged: 290n, requests: 0n },
      ])
    })

    test('whatever happens, they add up to what was charged', async () => {
      const anyStep = fc.record({
        channel: fc.nat(3),
        cost: fc.bigInt(0n, 20n),
        days: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 3 })),
      })
      await fc.assert(
        fc.asyncProperty(fc.array(anyStep, { maxLength: 25, size: 'max' }), async (steps) => {
          const { ledger, serve } = await aShop()
          const channels = Array.from({ length: 4 }, () => aChannel())
          const expected = new Map<string, { charged: bigint; requests: bigint }>()
          for (const { channel, cost, days } of steps) {
            clock.advance(days * Day.milliseconds)
            const facts = channels[channel] ?? aChannel()
            await serve(facts, cost)
            if (cost === 0n) continue
            const name = `${today()} ${facts.channelId}`
            const { charged, requests } = expected.get(name) ?? { charged: 0n, requests: 0n }
            expected.set(name, { charged: charged + cost, requests: requests + 1n })
          }
          const days = await daysOf(ledger)
          expect(days.map(({ day }) => day)).toEqual(days.map(({ day }) => day).toSorted())
          const found = days.map(({ day, channelId, charged, requests }) => {
            return [`${day} ${channelId}`, { charged, requests }] as const
          })
          expect(new Map(found)).toEqual(expected)
          expect(found).toHaveLength(expected.size)
          const { charged } = await ledger.totals()
          expect(days.reduce((sum, day) => sum + day.charged, 0n)).toBe(charged)
        }),
        { numRuns: 15 },
      )
    })

    test('more of them than are read in one go', async () => {
      const { ledger, serve } = await aShop()
      const channels = Array.from({ length: 2300 }, () => aChannel())
      await Promise.all(channels.map((channel) => serve(channel, 1n)))
      clock.advance(Day.milliseconds)
      await Promise.all(channels.slice(0, 1200).map((channel) => serve(channel, 2n)))
      const days = await daysOf(ledger)
      expect(days).toHaveLength(3500)
      expect(new Set(days.map(({ day, channelId }) => `${day} ${channelId}`)).size).toBe(3500)
      expect(days.reduce((sum, { charged }) => sum + charged, 0n)).toBe(2300n + 2400n)
    })

    test('what is no day is refused', async () => {
      const ledger = await start()
      for (const from of ['2026-13-01', '2026-02-30', 'today', '2026-1-1', '']) {
        await expect(daysOf(ledger, { from })).rejects.toMatchObject({ code: 'ledger_usage' })
        await expect(claimsOf(ledger, { to: from })).rejects.toMatchObject({ code: 'ledger_usage' })
      }
    })
  })

  describe('claims on record', () => {
    const receipt = { txHash: txHash(1), fee: 2n, gasCost: 21_000n * 30_000_000_000n * 1_000_000n }

    test('say what each took, of whom, and what it cost', async () => {
      const { ledger, serve } = await aShop()
      const channel = aChannel()
      await serve(channel, 100n)
      await ledger.beginClaim(channel.channelId, 100n)
      await ledger.endClaim({ ...channel, claimed: 100n }, receipt)
      clock.advance(Day.milliseconds)
      await serve(channel, 60n)
      await ledger.beginClaim(channel.channelId, 160n)
      await ledger.endClaim({ ...channel, claimed: 160n }, { ...receipt, txHash: txHash(2), fee: 0n })
      const { channelId, consumer } = channel
      const claims = await claimsOf(ledger)
      expect(claims).toMatchObject([
        { channelId, consumer, amount: 100n, ...receipt },
        { channelId, consumer, amount: 60n, fee: 0n, gasCost: receipt.gasCost, txHash: txHash(2) },
      ])
      const days = claims.map(({ at }) => Day.format(Day.at(Number(at) * 1000)))
      expect(days).toEqual([Day.format(Day.at(clock.now()) - 1), today()])
      expect(await claimsOf(ledger, { from: today() })).toEqual(claims.slice(1))
      expect(await claimsOf(ledger, { to: days[0] })).toEqual(claims.slice(0, 1))
    })

    test('the same claim twice is one', async () => {
      const { ledger, serve } = await aShop()
      const channel = aChannel()
      await serve(channel, 100n)
      await ledger.beginClaim(channel.channelId, 100n)
      for (let time = 0; time < 3; time++) await ledger.endClaim({ ...channel, claimed: 100n }, receipt)
      expect(await claimsOf(ledger)).toHaveLength(1)
    })

    test('a claim that was seen on chain before its receipt came is on record too', async () => {
      const { ledger, serve } = await aShop()
      const channel = aChannel()
      await serve(channel, 100n)
      await ledger.beginClaim(channel.channelId, 100n)
      await ledger.recordClaimed({ ...channel, claimed: 100n })
      await ledger.endClaim({ ...channel, claimed: 100n }, receipt)
      expect(await claimsOf(ledger)).toMatchObject([{ amount: 100n }])
    })

    test('a claim whose receipt comes after the close is on record', async () => {
      const { ledger, serve } = await aShop()
      const channel = aChannel()
      await serve(channel, 100n)
      await ledger.markClosed(channel.channelId)
      await ledger.endClaim({ ...channel, claimed: 100n }, receipt)
      expect(await claimsOf(ledger)).toMatchObject([{ amount: 100n }])
    })

    test('what others claimed is not', async () => {
      const { ledger, serve } = await aShop()
      const channel = aChannel()
      await serve(channel, 100n)
      await ledger.recordClaimed({ ...channel, claimed: 30n })
      await ledger.beginClaim(channel.channelId, 100n)
      await ledger.endClaim({ ...channel, claimed: 30n })
      expect(await claimsOf(ledger)).toEqual([])
      await ledger.beginClaim(channel.channelId, 100n)
      await ledger.endClaim({ ...channel, claimed: 100n }, receipt)
      expect(await claimsOf(ledger)).toMatchObject([{ amount: 70n }])

      const lost = aChannel({ claimed: 400n })
      await ledger.freeze(lost)
      await serve(channel, 1n)
      expect(await claimsOf(ledger)).toHaveLength(1)
    })

    test('a claim of more than was charged is on record whole', async () => {
      const { ledger, serve } = await aShop()
      const channel = aChannel()
      await serve(channel, 100n)
      await ledger.beginClaim(channel.channelId, 1000n)
      await ledger.endClaim({ ...channel, claimed: 1000n }, receipt)
      expect(await claimsOf(ledger)).toMatchObject([{ amount: 1000n }])
    })
  })

  describe('a session key’s proof', () => {
    test('is kept the first time it is given', async () => {
      const ledger = await start()
      const channel = aChannel()
      const proof: Hex = `0x${'ab'.repeat(128)}`
      const signed = aVoucher(10n, 1n)
      const proven = { ...signed, signature: `${signed.signature}${proof.slice(2)}` as Hex }
      await ledger.raise({ channel, voucher: proven })
      expect((await ledger.get(channel.channelId))?.proof).toBeUndefined()
      await ledger.raise({ channel: { ...channel, proof }, voucher: aVoucher(20n, 2n) })
      await ledger.raise({
        channel: { ...channel, proof: '0xcd' },
        voucher: { ...proven, amount: 30n, nonce: 3n },
      })
      await ledger.raise({ channel, voucher: aVoucher(5n, 4n) })
      const state = await ledger.get(channel.channelId)
      expect(state?.proof).toBe(proof)
      expect(state?.highest?.signature).toBe(proven.signature)
      expect(await ledger.glance(channel.channelId)).toEqual(state)
    })
  })
}
