import fc from 'fast-check'
import type { Hex } from 'viem'
import { afterEach, describe, expect, test } from 'vitest'
import { ChannelMismatchError, LedgerUnavailableError, LedgerUsageError } from './Errors.ts'
import { aChannel, aVoucher, shuffled } from './fixtures.ts'
import type { ChannelFacts, ChannelState, Ledger, ReserveResult } from './Ledger.ts'
import { ledgerModel } from './ledgerModel.ts'

export type OpenLedger = (options: { now: () => number; log: (message: string) => void }) => Ledger

/** What every store must do. `runs`: how many random histories to compare with the model. */
export function conformance(open: OpenLedger, { runs }: { runs: number }): void {
  let clock = 1_700_000_000_000
  const now = () => clock
  let opened: Ledger[] = []

  function start(log: (message: string) => void = () => {}): Ledger {
    const ledger = open({ now, log })
    opened.push(ledger)
    return ledger
  }

  afterEach(async () => {
    for (const ledger of opened) await ledger.close()
    opened = []
  })

  async function mustReserve(ledger: Ledger, request: Parameters<Ledger['reserve']>[0]) {
    const result = await ledger.reserve(request)
    if (!result.ok) throw new Error(`refused: ${result.code}`)
    return result
  }

  const codeOf = (result: { ok: boolean; code?: string }) => (result.ok ? 'ok' : result.code)
  const count = (results: ReserveResult[], code: string) => results.filter((r) => codeOf(r) === code).length

  describe('reserve', () => {
    test('writes the channel down, burns the nonce, raises, reserves', async () => {
      const ledger = start()
      const channel = aChannel()
      const voucher = aVoucher(100n, 7n)
      const { state, reservationId } = await mustReserve(ledger, { channel, voucher, quote: 60n })
      expect(reservationId).toBe(`${channel.channelId}:7`)
      expect(state).toEqual({
        ...channel,
        ...{ status: 'open', authorized: 100n, charged: 0n, reserved: 60n, claiming: 0n },
        ...{ finalAmount: undefined, alarm: false, nonce: 7n, highest: voucher, claimable: undefined },
        firstSeen: BigInt(clock) / 1000n,
      } satisfies ChannelState)
      expect(await ledger.get(channel.channelId)).toEqual(state)
    })

    test('one voucher, 50 requests at once: one is served', async () => {
      const ledger = start()
      const request = { channel: aChannel(), voucher: aVoucher(100n, 1n), quote: 2n }
      const results = await Promise.all(Array.from({ length: 50 }, () => ledger.reserve(request)))
      expect(count(results, 'ok')).toBe(1)
      expect(count(results, 'invalid_nonce')).toBe(49)
    })

    test('50 rising vouchers at once, in any order: all are served', async () => {
      const ledger = start()
      const channel = aChannel()
      const nonces = shuffled(Array.from({ length: 50 }, (_, index) => BigInt(index + 1)))
      // The highest first: the others are judged against what it authorized.
      nonces.sort((a, b) => Number(b === 50n) - Number(a === 50n))
      const results = await Promise.all(
        nonces.map((nonce) => ledger.reserve({ channel, voucher: aVoucher(nonce * 20n, nonce), quote: 20n })),
      )
      expect(count(results, 'ok')).toBe(50)
      expect(await ledger.get(channel.channelId)).toMatchObject({ authorized: 1000n, reserved: 1000n })
    })

    test('a thousand requests at once on 50 units serve 50', async () => {
      const ledger = start()
      const channel = aChannel()
      const results = await Promise.all(
        Array.from({ length: 1000 }, (_, nonce) =>
          ledger.reserve({ channel, voucher: aVoucher(50n, BigInt(nonce)), quote: 1n }),
        ),
      )
      expect(count(results, 'ok')).toBe(50)
      expect(count(results, 'insufficient_funds')).toBe(950)
    })

    test('a nonce refused for funds stays burned when there is credit', async () => {
      const ledger = start()
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
      const ledger = start()
      const channel = aChannel()
      const refused = await ledger.reserve({ channel, voucher: aVoucher(1001n, 1n), quote: 1n })
      expect(refused).toMatchObject({ ok: false, code: 'exceeds_deposit', state: { authorized: 0n } })
      expect(codeOf(await ledger.reserve({ channel, voucher: aVoucher(2n ** 255n, 1n), quote: 1n }))).toBe(
        'exceeds_deposit',
      )
      expect(codeOf(await ledger.reserve({ channel, voucher: aVoucher(1000n, 1n), quote: 1000n }))).toBe('ok')
    })

    test('nonces: out of order, never twice, at most 1,024 below the highest', async () => {
      const ledger = start()
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
      const ledger = start()
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
      const ledger = start()
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
      const ledger = start()
      const channel = aChannel()
      const pay = (nonce: bigint, facts: Partial<ChannelFacts> = {}) =>
        ledger.reserve({ channel: { ...channel, ...facts }, voucher: aVoucher(100n, nonce), quote: 1n })
      const results = await Promise.allSettled([pay(1n), pay(2n, { deposit: 5n }), pay(3n)])
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      expect(await ledger.get(channel.channelId)).toMatchObject({ reserved: 2n, nonce: 3n })
      expect(codeOf(await pay(2n))).toBe('ok')
    })

    test('amounts go up to 2^63 - 1; a larger deposit is refused', async () => {
      const ledger = start()
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
      const ledger = start()
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

  describe('raise', () => {
    test('takes a voucher that is not higher, and burns its nonce', async () => {
      const ledger = start()
      const channel = aChannel()
      expect(await ledger.raise({ channel, voucher: aVoucher(100n, 1n) })).toMatchObject({ ok: true })
      const lower = await ledger.raise({ channel, voucher: aVoucher(50n, 2n) })
      expect(lower).toMatchObject({
        ok: true,
        state: { authorized: 100n, nonce: 2n, highest: { amount: 100n } },
      })
      expect(codeOf(await ledger.raise({ channel, voucher: aVoucher(50n, 2n) }))).toBe('invalid_nonce')
      expect(codeOf(await ledger.raise({ channel, voucher: aVoucher(1001n, 3n) }))).toBe('exceeds_deposit')
    })
  })

  describe('capture', () => {
    async function aReservation(quote = 50n, leaseMs = 1000) {
      const ledger = start()
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
      clock += 2000
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
      clock += 1000
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
      clock += 1000
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
        leaseMs: 5000,
      })
      await ledger.freeze(channel)
      clock += 1000
      expect(await ledger.capture(reservationId, 50n)).toMatchObject({ ok: true, captured: 0n })
      expect(await ledger.capture(longer.reservationId, 40n)).toMatchObject({
        captured: 40n,
        state: { charged: 40n },
      })
    })

    test('an expired lease is forgotten after a day', async () => {
      const { ledger, channel, reservationId } = await aReservation()
      clock += 1000
      await ledger.raise({ channel, voucher: aVoucher(100n, 2n) })
      clock += 24 * 60 * 60 * 1000
      expect(codeOf(await ledger.capture(reservationId, 50n))).toBe('reservation_ended')
    })

    test('a renewed lease holds as long as it is renewed', async () => {
      const { ledger, channel, reservationId } = await aReservation()
      for (let beat = 0; beat < 5; beat++) {
        clock += 700
        expect(await ledger.renew(reservationId, 1000)).toMatchObject({ ok: true, state: { reserved: 50n } })
      }
      await ledger.freeze(channel)
      clock += 700
      expect(codeOf(await ledger.renew(reservationId, 1000))).toBe('ok')
      expect(await ledger.capture(reservationId, 50n)).toMatchObject({ captured: 50n })
    })

    test('what has expired is no longer reserved, for whoever looks', async () => {
      const { ledger, channel } = await aReservation()
      clock += 999
      expect(await ledger.get(channel.channelId)).toMatchObject({ reserved: 50n })
      clock += 1
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

  describe('closing', () => {
    test('freeze, then finalize, then closed', async () => {
      const ledger = start()
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
      const ledger = start()
      const channel = aChannel()
      const late = await mustReserve(ledger, {
        channel,
        voucher: aVoucher(100n, 1n),
        quote: 50n,
        leaseMs: 10,
      })
      await ledger.freeze(channel)
      clock += 10
      expect(await ledger.finalize(channel.channelId)).toMatchObject({ ok: true, finalAmount: 0n })
      expect(await ledger.capture(late.reservationId, 50n)).toMatchObject({
        captured: 0n,
        state: { charged: 0n },
      })
    })

    test('a channel that never paid can be frozen', async () => {
      const ledger = start()
      const channel = aChannel()
      expect(await ledger.freeze(channel)).toMatchObject({ status: 'closing', authorized: 0n })
      expect(await ledger.finalize(channel.channelId)).toMatchObject({ finalAmount: 0n })
      expect(codeOf(await ledger.reserve({ channel, voucher: aVoucher(1n, 1n), quote: 1n }))).toBe(
        'channel_closing',
      )
    })

    test('a channel closed under a running request owes nothing more', async () => {
      const ledger = start()
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

  describe('claims', () => {
    async function aCharged(amount: bigint) {
      const messages: string[] = []
      const ledger = start((message) => messages.push(message))
      messages.length = 0
      const channel = aChannel()
      const voucher = aVoucher(500n, 1n)
      const { reservationId } = await mustReserve(ledger, { channel, voucher, quote: amount })
      await ledger.capture(reservationId, amount)
      const seen = (claimed: bigint) => ledger.recordClaimed({ ...channel, claimed })
      return { ledger, channel, seen, messages }
    }

    test('what was charged is claimed without alarm; a lower sight is old', async () => {
      const { seen, messages } = await aCharged(100n)
      expect(await seen(60n)).toMatchObject({ claimed: 60n, alarm: false, status: 'open' })
      expect(await seen(100n)).toMatchObject({ claimed: 100n, alarm: false })
      expect(await seen(60n)).toMatchObject({ claimed: 100n, charged: 100n, alarm: false })
      expect(messages).toEqual([])
    })

    test('more than was charged: raise, end reservations, freeze, alarm once', async () => {
      const { ledger, channel, seen, messages } = await aCharged(100n)
      const running = await mustReserve(ledger, { channel, voucher: aVoucher(1000n, 2n), quote: 900n })
      const state = { claimed: 700n, charged: 700n, reserved: 0n, status: 'closing', alarm: true }
      expect(await seen(700n)).toMatchObject(state)
      expect(await ledger.capture(running.reservationId, 900n)).toMatchObject({ ok: false, state })
      expect(await seen(700n)).toMatchObject(state)
      expect(messages).toHaveLength(1)
      expect(messages[0]).toMatch(/ALARM.*700/)
      expect(await ledger.finalize(channel.channelId)).toMatchObject({ ok: true, finalAmount: 700n })
    })

    test('more than anybody is known to have signed', async () => {
      const { ledger, seen } = await aCharged(100n)
      expect(await seen(800n)).toMatchObject({ charged: 800n, authorized: 800n, alarm: true })
      expect((await ledger.totals()).alarms).toBe(1)
    })

    test('a lost ledger serves no channel that was claimed from', async () => {
      const messages: string[] = []
      const ledger = start((message) => messages.push(message))
      messages.length = 0
      const channel = aChannel({ claimed: 40n })
      const refused = await ledger.reserve({ channel, voucher: aVoucher(100n, 1n), quote: 1n })
      expect(refused).toMatchObject({
        code: 'channel_closing',
        state: { charged: 40n, claimed: 40n, alarm: true },
      })
      expect(messages).toHaveLength(1)
      expect(await ledger.finalize(channel.channelId)).toMatchObject({ ok: true, finalAmount: 40n })
    })

    test('an announced claim above what was charged is the consumer’s credit, not an alarm', async () => {
      const { ledger, channel, seen, messages } = await aCharged(100n)
      expect(await ledger.beginClaim(channel.channelId, 500n)).toMatchObject({
        ok: true,
        state: { claiming: 500n },
      })
      expect(await seen(500n)).toMatchObject({ claimed: 500n, charged: 100n, alarm: false, status: 'open' })
      expect(await ledger.endClaim({ ...channel, claimed: 500n })).toMatchObject({
        claiming: 500n,
        alarm: false,
      })
      const served = await mustReserve(ledger, { channel, voucher: aVoucher(1n, 2n), quote: 400n })
      expect(await ledger.capture(served.reservationId, 400n)).toMatchObject({ state: { charged: 500n } })
      expect(messages).toEqual([])
    })

    test('finalize waits for a claim under way, and bounds the later ones', async () => {
      const { ledger, channel } = await aCharged(100n)
      const { channelId } = channel
      await expect(ledger.beginClaim(channelId, 501n)).rejects.toThrow(LedgerUsageError)
      await ledger.beginClaim(channelId, 500n)
      await ledger.freeze(channel)
      expect(await ledger.finalize(channelId)).toMatchObject({ ok: false, code: 'claim_pending' })
      expect(await ledger.endClaim({ ...channel, claimed: 0n })).toMatchObject({ claiming: 0n })
      expect(await ledger.finalize(channelId)).toMatchObject({ ok: true, finalAmount: 100n })
      expect(codeOf(await ledger.beginClaim(channelId, 101n))).toBe('exceeds_final_amount')
      expect(codeOf(await ledger.beginClaim(channelId, 100n))).toBe('ok')
      await ledger.markClosed(channelId)
      expect(codeOf(await ledger.beginClaim(channelId, 100n))).toBe('channel_closed')
    })

    test('keeps a voucher for at most what was charged', async () => {
      const ledger = start()
      const channel = aChannel()
      let charged = 0n
      for (let nonce = 1n; nonce <= 60n; nonce++) {
        // As an honest consumer signs: what was charged, and the most that this request can cost.
        const voucher = aVoucher(charged + 16n, nonce)
        const { reservationId } = await mustReserve(ledger, { channel, voucher, quote: 16n })
        const { state } = await ledger.capture(reservationId, 7n + (nonce % 9n))
        charged = state.charged
        const { claimable, highest } = state
        expect(highest).toEqual(voucher)
        expect(claimable === undefined || claimable.amount <= charged).toBe(true)
        if (nonce > 3n) expect((claimable?.amount ?? 0n) + 48n).toBeGreaterThan(charged)
      }
      const last = await mustReserve(ledger, { channel, voucher: aVoucher(charged + 16n, 61n), quote: 16n })
      const { state } = await ledger.capture(last.reservationId, 16n)
      expect(state.claimable).toEqual(state.highest)
    })
  })

  describe('the claimable voucher', () => {
    /** A channel with 100 charged, after vouchers over these amounts. */
    async function afterVouchers(...amounts: bigint[]) {
      const ledger = start()
      const channel = aChannel()
      const vouchers = amounts.map((amount, index) => aVoucher(amount, BigInt(index)))
      for (const voucher of vouchers) await ledger.raise({ channel, voucher })
      const voucher = aVoucher(1000n, 100n)
      const { reservationId } = await mustReserve(ledger, { channel, voucher, quote: 100n })
      const { state } = await ledger.capture(reservationId, 100n)
      return { ledger, channel, vouchers, claimable: state.claimable }
    }

    test('is none while all are for more', async () => {
      expect((await afterVouchers(101n, 900n)).claimable).toBeUndefined()
    })

    test('is the lowest that was above, once it is charged', async () => {
      const { vouchers, claimable } = await afterVouchers(500n, 400n, 90n, 300n)
      expect(claimable).toEqual(vouchers[2])
    })

    test('is a late one, if it is for more', async () => {
      const { ledger, channel } = await afterVouchers(90n)
      const raise = async (amount: bigint, nonce: bigint) => {
        const { state } = await ledger.raise({ channel, voucher: aVoucher(amount, nonce) })
        return state.claimable?.amount
      }
      expect(await raise(80n, 10n)).toBe(90n)
      expect(await raise(100n, 11n)).toBe(100n)
      expect(await raise(101n, 12n)).toBe(100n)
    })
  })

  describe('channels and totals', () => {
    test('list what matches, and add it up', async () => {
      const ledger = start()
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
      const charged = (29n * 30n) / 2n
      expect(await ledger.totals()).toEqual({
        ...{ open: 20, closing: 10, closed: 0, alarms: 0 },
        ...{ deposit: 30_000n, authorized: 3000n, charged, reserved: 0n, claimed: 210n },
      })
    })
  })

  describe('close', () => {
    test('finishes what was asked before, refuses what comes after', async () => {
      const ledger = start()
      const channel = aChannel()
      const before = ledger.reserve({ channel, voucher: aVoucher(1n, 1n), quote: 1n })
      await ledger.close()
      expect(codeOf(await before)).toBe('ok')
      const after = ledger.reserve({ channel, voucher: aVoucher(1n, 2n), quote: 1n })
      await expect(after).rejects.toThrow(LedgerUnavailableError)
      await expect(ledger.get(channel.channelId)).rejects.toThrow(LedgerUnavailableError)
      await expect(ledger.totals()).rejects.toThrow(LedgerUnavailableError)
      await ledger.close()
    })
  })

  test('any history ends as in the model', async () => {
    const ledger = start()
    await fc.assert(
      fc.asyncProperty(histories, async (history) => {
        const channel = aChannel({ deposit: 120n })
        const model = ledgerModel(channel.deposit, now)
        const issued: bigint[] = []
        await ledger.raise({ channel, voucher: aVoucher(0n, 0n) })
        model.raise(aVoucher(0n, 0n))

        for (const step of history) {
          if (step.op === 'wait') clock += step.ms
          else model.tick()
          const { charged, claiming, authorized, status } = model.state()
          const picked = 'pick' in step ? issued[step.pick % issued.length] : 0n
          if (picked === undefined) continue
          const id = `${channel.channelId}:${picked}` as const
          const explained = charged > claiming ? charged : claiming
          const sight = 'amount' in step ? (step.amount > 125n ? 110n : step.amount % (explained + 1n)) : 0n

          let outcomes: { ok: boolean }[] = []
          switch (step.op) {
            case 'reserve': {
              const voucher = aVoucher(step.amount, step.nonce)
              const { quote, leaseMs } = step
              outcomes = [
                await ledger.reserve({ channel, voucher, quote, leaseMs }),
                model.reserve(voucher, quote, leaseMs),
              ]
              if (outcomes[0]?.ok) issued.push(step.nonce)
              break
            }
            case 'raise': {
              const voucher = aVoucher(step.amount, step.nonce)
              outcomes = [await ledger.raise({ channel, voucher }), model.raise(voucher)]
              break
            }
            case 'capture': {
              const { amount, final } = step
              outcomes = [await ledger.capture(id, amount, { final }), model.capture(picked, amount, final)]
              break
            }
            case 'release':
              outcomes = [await ledger.release(id), model.capture(picked, 0n, true)]
              break
            case 'extend':
              outcomes = [await ledger.extend(id, step.amount), model.extend(picked, step.amount)]
              break
            case 'renew':
              outcomes = [await ledger.renew(id, step.leaseMs), model.renew(picked, step.leaseMs)]
              break
            case 'beginClaim': {
              const amount = step.amount % (authorized + 1n)
              outcomes = [await ledger.beginClaim(channel.channelId, amount), model.beginClaim(amount)]
              break
            }
            case 'recordClaimed':
              await ledger.recordClaimed({ ...channel, claimed: sight })
              model.recordClaimed(sight)
              break
            case 'endClaim':
              await ledger.endClaim({ ...channel, claimed: sight })
              model.recordClaimed(sight)
              model.endClaim()
              break
            case 'freeze':
              await ledger.freeze(channel)
              model.freeze()
              break
            case 'finalize':
              if (status !== 'open') outcomes = [await ledger.finalize(channel.channelId), model.finalize()]
              break
            case 'markClosed':
              await ledger.markClosed(channel.channelId)
              model.markClosed()
          }
          const [real, expected] = outcomes
          if (expected) {
            // A release says nothing of what was captured.
            const { captured, ...rest } = expected as { ok: boolean; captured?: bigint }
            expect(real).toMatchObject(step.op === 'release' ? rest : expected)
          }
          expect(await ledger.get(channel.channelId)).toMatchObject(model.state())
        }
      }),
      { numRuns: runs },
    )
  })
}

const amount = fc.bigInt(0n, 130n)
const leaseMs = fc.integer({ min: 1, max: 100 })
const pick = fc.nat(20)
const nonce = fc.oneof(
  { weight: 6, arbitrary: fc.bigInt(0n, 60n) },
  { weight: 2, arbitrary: fc.bigInt(0n, 2500n) },
  { weight: 1, arbitrary: fc.bigInt(0n, 2n ** 63n - 1n) },
)
type Arbitraries<fields> = { [key in keyof fields]: fc.Arbitrary<fields[key]> }

function op<name extends string, fields>(weight: number, name: name, fields: Arbitraries<fields>) {
  const arbitrary = fc.record({ ...fields, op: fc.constant(name) })
  return { weight, arbitrary: arbitrary as fc.Arbitrary<fields & { op: name }> }
}

/** What may happen to a channel, mostly service. */
const histories = fc.array(
  fc.oneof(
    op(16, 'reserve', { amount, nonce, leaseMs, quote: fc.bigInt(0n, 40n) }),
    op(4, 'raise', { amount, nonce }),
    op(8, 'capture', { pick, amount: fc.bigInt(0n, 50n), final: fc.boolean() }),
    op(2, 'release', { pick }),
    op(4, 'extend', { pick, amount: fc.bigInt(0n, 40n) }),
    op(2, 'renew', { pick, leaseMs }),
    op(4, 'wait', { ms: fc.integer({ min: 1, max: 60 }) }),
    op(1, 'beginClaim', { amount }),
    op(1, 'recordClaimed', { amount }),
    op(1, 'endClaim', { amount }),
    op(1, 'freeze', {}),
    op(1, 'finalize', {}),
    op(1, 'markClosed', {}),
  ),
  { maxLength: 60, size: 'max' },
)
