import { describe, expect, test } from 'vitest'
import { LedgerUsageError } from '../Errors.ts'
import { aChannel, aVoucher } from '../fixtures.ts'
import { codeOf, mustReserve, type Setting } from './Setting.ts'

/** What the chain has paid, and what may be asked of it. */
export function claiming({ start }: Setting): void {
  describe('claims', () => {
    async function aCharged(amount: bigint) {
      const messages: string[] = []
      const ledger = await start({ log: (message) => messages.push(message) })
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
      const ledger = await start({ log: (message) => messages.push(message) })
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
      expect(await ledger.totals()).toMatchObject({ claimed: 500n, charged: 100n, unused: 400n })
      const served = await mustReserve(ledger, { channel, voucher: aVoucher(1n, 2n), quote: 400n })
      expect(await ledger.capture(served.reservationId, 400n)).toMatchObject({ state: { charged: 500n } })
      expect(await ledger.totals()).toMatchObject({ unused: 0n })
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
      const ledger = await start()
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
      const ledger = await start()
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
}
