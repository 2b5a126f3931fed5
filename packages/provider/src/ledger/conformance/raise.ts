import { describe, expect, test } from 'vitest'
import { aChannel, aVoucher } from '../fixtures.ts'
import { codeOf, type Setting } from './Setting.ts'

/** Vouchers without a request. */
export function raise({ start }: Setting): void {
  describe('raise', () => {
    test('takes a voucher that is not higher, and burns its nonce', async () => {
      const ledger = await start()
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
}
