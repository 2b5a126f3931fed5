import { describe, expect, test } from 'vitest'
import { aChannel, aVoucher } from '../fixtures.ts'
import type { ChannelFacts, IdempotencyKey, Ledger } from '../Ledger.ts'
import { codeOf, countOf, mustReserve, type Setting } from './Setting.ts'

/** A request under a key is served once, however often and from wherever it comes. */
export function idempotency({ clock, start }: Setting): void {
  const key: IdempotencyKey = { id: `0x${'1d'.repeat(32)}`, fingerprint: `0x${'f1'.repeat(32)}` }
  const other: IdempotencyKey = { id: `0x${'2d'.repeat(32)}`, fingerprint: key.fingerprint }
  const otherBody: IdempotencyKey = { id: key.id, fingerprint: `0x${'f2'.repeat(32)}` }
  const answer = new Uint8Array([0, 1, 255, 128])
  const day = 24 * 60 * 60 * 1000

  const ask = (ledger: Ledger, channel: ChannelFacts, nonce: bigint, key?: IdempotencyKey) =>
    ledger.reserve({ channel, voucher: aVoucher(500n, nonce), quote: 10n, leaseMs: 100_000, key })

  describe('idempotency', () => {
    test('while a request is in flight, its retry is refused and burns nothing', async () => {
      const ledger = await start()
      const channel = aChannel()
      const first = await ask(ledger, channel, 1n, key)
      expect(codeOf(first)).toBe('ok')
      const retry = await ledger.reserve({ channel, voucher: aVoucher(900n, 2n), quote: 10n, key })
      expect(retry).toMatchObject({
        ...{ ok: false, code: 'idempotency_in_flight' },
        state: { authorized: 500n, nonce: 1n, reserved: 10n },
      })
      expect(codeOf(await ask(ledger, channel, 1n, key))).toBe('idempotency_in_flight')
      expect(codeOf(await ask(ledger, channel, 2n, otherBody))).toBe('idempotency_mismatch')
      expect(codeOf(await ask(ledger, channel, 2n, other))).toBe('ok')
      expect(codeOf(await ask(ledger, channel, 3n))).toBe('ok')
      expect(codeOf(await ask(ledger, aChannel(), 1n, key))).toBe('ok')
    })

    test('of a hundred at once, one is served', async () => {
      const ledger = await start()
      const channel = aChannel()
      const results = await Promise.all(
        Array.from({ length: 100 }, (_, nonce) => ask(ledger, channel, BigInt(nonce), key)),
      )
      expect(countOf(results, 'ok')).toBe(1)
      expect(countOf(results, 'idempotency_in_flight')).toBe(99)
      expect(await ledger.get(channel.channelId)).toMatchObject({ reserved: 10n })
    })

    test('a request that ran out of time and was served again is not charged twice', async () => {
      const ledger = await start()
      const channel = aChannel()
      const voucher = aVoucher(500n, 1n)
      const slow = await mustReserve(ledger, { channel, voucher, quote: 10n, leaseMs: 1000, key })
      clock.advance(2000)
      const retry = await mustReserve(ledger, { channel, voucher: aVoucher(500n, 2n), quote: 10n, key })
      await ledger.capture(retry.reservationId, 10n, { outcome: answer })
      const late = await ledger.capture(slow.reservationId, 10n, { outcome: new Uint8Array([9]) })
      expect(codeOf(late)).toBe('reservation_ended')
      expect(await ledger.get(channel.channelId)).toMatchObject({ charged: 10n, reserved: 0n })
      expect(await ledger.outcome(channel.channelId, key.id)).toMatchObject({ response: answer })
    })

    test('letters of a key have no case', async () => {
      const ledger = await start()
      const channel = aChannel()
      await ask(ledger, channel, 1n, key)
      const shouted = { id: key.id.toUpperCase().replace('X', 'x'), fingerprint: key.fingerprint }
      expect(codeOf(await ask(ledger, channel, 2n, shouted as IdempotencyKey))).toBe('idempotency_in_flight')
    })

    test('the outcome is there with the capture, and not before', async () => {
      const ledger = await start()
      const channel = aChannel()
      const { reservationId } = await mustReserve(ledger, {
        ...{ channel, voucher: aVoucher(500n, 1n), quote: 10n, key },
      })
      await ledger.capture(reservationId, 5n, { final: false })
      expect(await ledger.outcome(channel.channelId, key.id)).toBeUndefined()
      await ledger.capture(reservationId, 10n, { outcome: answer })
      expect(await ledger.outcome(channel.channelId, key.id)).toEqual({
        fingerprint: key.fingerprint,
        response: answer,
      })
      expect(await ledger.outcome(channel.channelId, other.id)).toBeUndefined()
      expect(await ledger.outcome(aChannel().channelId, key.id)).toBeUndefined()
    })

    test('what is handed out is a copy', async () => {
      const ledger = await start()
      const channel = aChannel()
      const response = answer.slice()
      const { reservationId } = await mustReserve(ledger, {
        ...{ channel, voucher: aVoucher(500n, 1n), quote: 10n, key },
      })
      await ledger.capture(reservationId, 1n, { outcome: response })
      response.fill(7)
      const first = await ledger.outcome(channel.channelId, key.id)
      first?.response.fill(8)
      expect((await ledger.outcome(channel.channelId, key.id))?.response).toEqual(answer)
    })

    test('an empty and a large outcome are kept as they are', async () => {
      const ledger = await start()
      const channel = aChannel()
      const large = Uint8Array.from({ length: 300_000 }, (_, index) => index % 251)
      for (const [index, response] of [new Uint8Array(0), large].entries()) {
        const named = { ...key, id: `0x0${index}` as const }
        const reserved = await ask(ledger, channel, BigInt(index), named)
        if (!reserved.ok) throw new Error(reserved.code)
        await ledger.capture(reserved.reservationId, 1n, { outcome: response })
        expect((await ledger.outcome(channel.channelId, named.id))?.response).toEqual(response)
      }
    })

    test('a capture that charges nothing more keeps no outcome either', async () => {
      const ledger = await start()
      const channel = aChannel()
      const { reservationId } = await mustReserve(ledger, {
        ...{ channel, voucher: aVoucher(500n, 1n), quote: 10n, key },
      })
      await ledger.capture(reservationId, 5n)
      expect(codeOf(await ledger.capture(reservationId, 5n, { outcome: answer }))).toBe('reservation_ended')
      expect(await ledger.outcome(channel.channelId, key.id)).toBeUndefined()
    })

    test('a request that failed may run again, under another voucher', async () => {
      const ledger = await start()
      const channel = aChannel()
      const first = await ask(ledger, channel, 1n, key)
      if (!first.ok) throw new Error(first.code)
      await ledger.release(first.reservationId)
      expect(await ledger.outcome(channel.channelId, key.id)).toBeUndefined()
      expect(codeOf(await ask(ledger, channel, 1n, key))).toBe('invalid_nonce')
      expect(codeOf(await ask(ledger, channel, 2n, otherBody))).toBe('ok')
    })

    test('a lease that ran out lets the request run again', async () => {
      const ledger = await start()
      const channel = aChannel()
      const dead = await ask(ledger, channel, 1n, key)
      if (!dead.ok) throw new Error(dead.code)
      clock.advance(50_000)
      expect(codeOf(await ask(ledger, channel, 2n, key))).toBe('idempotency_in_flight')
      clock.advance(50_000)
      const again = await ask(ledger, channel, 2n, key)
      if (!again.ok) throw new Error(again.code)
      await ledger.capture(again.reservationId, 10n, { outcome: answer })
      expect((await ledger.outcome(channel.channelId, key.id))?.response).toEqual(answer)
    })

    test('an answer that came too late to be charged in full is not kept', async () => {
      const ledger = await start()
      for (const [spent, kept] of [
        [0n, true],
        [495n, false],
        [500n, false],
      ] as const) {
        const channel = aChannel()
        const late = await ask(ledger, channel, 1n, key)
        if (!late.ok) throw new Error(late.code)
        clock.advance(150_000)
        // The credit that it gave back serves others meanwhile.
        const other = await mustReserve(ledger, { channel, voucher: aVoucher(500n, 2n), quote: spent })
        await ledger.capture(other.reservationId, spent)
        const result = await ledger.capture(late.reservationId, 10n, { outcome: answer })
        expect(result).toMatchObject({ ok: true, captured: kept ? 10n : 500n - spent })
        expect(Boolean(await ledger.outcome(channel.channelId, key.id))).toBe(kept)
      }
    })

    test('an outcome is kept for a day, or as long as was said', async () => {
      for (const keepOutcomesMs of [undefined, 3_600_000]) {
        const ledger = await start({ keepOutcomesMs })
        const channel = aChannel()
        const { reservationId } = await mustReserve(ledger, {
          ...{ channel, voucher: aVoucher(500n, 1n), quote: 10n, key },
        })
        await ledger.capture(reservationId, 10n, { outcome: answer })
        clock.advance((keepOutcomesMs ?? day) - 60_000)
        expect(await ledger.outcome(channel.channelId, key.id)).toBeDefined()
        expect(await ledger.prune()).toEqual({ channels: 0, outcomes: 0 })
        clock.advance(60_000)
        expect(await ledger.outcome(channel.channelId, key.id)).toBeUndefined()
        expect(await ledger.prune()).toEqual({ channels: 0, outcomes: 1 })
        expect(await ledger.prune()).toEqual({ channels: 0, outcomes: 0 })
      }
    })

    test('a later outcome takes the place of one whose time is up', async () => {
      const ledger = await start()
      const channel = aChannel()
      for (const nonce of [1n, 2n]) {
        const reserved = await ask(ledger, channel, nonce, key)
        if (!reserved.ok) throw new Error(reserved.code)
        const response = new Uint8Array([Number(nonce)])
        await ledger.capture(reserved.reservationId, 10n, { outcome: response })
        expect((await ledger.outcome(channel.channelId, key.id))?.response).toEqual(response)
        clock.advance(day)
      }
    })

    test('without a key there is nothing to keep it under; before the end there is none', async () => {
      const ledger = await start()
      const channel = aChannel()
      const plain = await ask(ledger, channel, 1n)
      if (!plain.ok) throw new Error(plain.code)
      const early = ledger.capture(plain.reservationId, 1n, { final: false, outcome: answer })
      await expect(early).rejects.toMatchObject({ code: 'ledger_usage' })
      expect(codeOf(await ledger.capture(plain.reservationId, 10n, { outcome: answer }))).toBe('ok')
      expect(await ledger.prune()).toEqual({ channels: 0, outcomes: 0 })
    })

    test('a key is a hash, not the text that a client sent', async () => {
      const ledger = await start()
      for (const id of ['0x', `0x${'00'.repeat(33)}`, 'retry-1'] as const) {
        const asked = ask(ledger, aChannel(), 1n, { ...key, id: id as IdempotencyKey['id'] })
        await expect(asked).rejects.toMatchObject({ code: 'ledger_usage' })
      }
    })
  })

  describe('how many reservations a channel may have', () => {
    const most = 1024
    const fill = (ledger: Ledger, channel: ChannelFacts, from: number, to: number, leaseMs: number) =>
      Promise.all(
        Array.from({ length: to - from }, (_, index) =>
          mustReserve(ledger, { channel, voucher: aVoucher(0n, BigInt(from + index)), quote: 0n, leaseMs }),
        ),
      )

    test('1,024 at work; one more is refused and burns nothing', async () => {
      const ledger = await start()
      const channel = aChannel()
      const [first] = await fill(ledger, channel, 0, most, 100_000)
      const request = { channel, voucher: aVoucher(700n, 2000n), quote: 1n }
      expect(await ledger.reserve(request)).toMatchObject({
        ...{ ok: false, code: 'rate_limited' },
        state: { authorized: 0n, nonce: BigInt(most - 1) },
      })
      expect(codeOf(await ledger.raise({ channel, voucher: aVoucher(1n, 2001n) }))).toBe('ok')
      if (first) await ledger.release(first.reservationId)
      expect(codeOf(await ledger.reserve(request))).toBe('ok')
    })

    test('those that have run out make room, the oldest first', async () => {
      const ledger = await start()
      const channel = aChannel()
      const [oldest] = await fill(ledger, channel, 0, 1, 100_000)
      const [second] = await fill(ledger, channel, 1, 2, 200_000)
      await fill(ledger, channel, 2, most, 3_600_000)
      clock.advance(100_000)
      await ledger.raise({ channel, voucher: aVoucher(0n, 1500n) })
      clock.advance(100_000)
      const last = await mustReserve(ledger, { channel, voucher: aVoucher(9n, 1501n), quote: 1n })
      expect(codeOf(await ledger.capture(oldest?.reservationId ?? '0x:0', 0n))).toBe('reservation_ended')
      expect(codeOf(await ledger.capture(second?.reservationId ?? '0x:0', 0n))).toBe('ok')
      expect(await ledger.capture(last.reservationId, 1n)).toMatchObject({ captured: 1n })
    })
  })
}
