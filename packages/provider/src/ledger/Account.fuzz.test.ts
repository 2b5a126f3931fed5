import fc from 'fast-check'
import { expect, test } from 'vitest'
import * as Account from './Account.ts'
import { LedgerInvariantError } from './Errors.ts'
import { aChannel, aVoucher } from './fixtures.ts'
import type { ChannelRecord } from './LedgerStore.ts'

const amount = fc.bigInt(0n, 1100n)
const small = fc.bigInt(0n, 300n)
const which = fc.nat(10)
const steps = fc.array(
  fc.tuple(
    fc.constantFrom(
      'reserve',
      'reserve',
      'reserve',
      'raise',
      'capture',
      'capture',
      'hold',
      'hold',
      'extend',
      'lapse',
      'claim',
      'freeze',
    ),
    amount,
    small,
    which,
    fc.boolean(),
  ),
  { maxLength: 60, size: 'max' },
)

test('any order of transitions keeps the account sound, its leases add up, its vouchers are real', () => {
  fc.assert(
    fc.property(steps, (history) => {
      let record: ChannelRecord = { account: Account.open(aChannel(), 0), leases: [] }
      const signed = new Set<string>()

      for (const [index, [name, amount, small, which, flag]] of history.entries()) {
        const { account: before, leases } = record
        const voucher = aVoucher(amount, BigInt(index))
        const lease = leases[which]
        let step: Account.Step<string> = { account: before }
        if (name === 'reserve') {
          const key = flag ? ({ id: `0x0${which % 10}`, fingerprint: '0x01' } as const) : undefined
          step = Account.reserve(record, { voucher, quote: small, endsAt: index + which, key })
        } else if (name === 'raise') step = Account.raise(before, voucher)
        else if (name === 'claim') step = Account.beginClaim(before, amount % (before.authorized + 1n))
        else if (name === 'freeze' && flag) step = Account.freeze(before)
        else if (name === 'lapse') step = Account.lapse(record, flag ? index : index + 90_000_000)
        else if (lease && name === 'hold')
          step = Account.capture(before, lease, small, { final: false, hold: amount % 300n })
        else if (lease && name === 'capture') step = Account.capture(before, lease, small, { final: flag })
        else if (lease && name === 'extend') step = Account.extend(before, lease, small)
        const { account } = step
        record = { account, leases: Account.withLease(step.leases ?? leases, step.lease) }
        if (account.nonces !== before.nonces) signed.add(voucher.signature)

        // Also that the live leases add up to what is reserved.
        Account.assertSound(record)
        const keys = record.leases.flatMap(({ stage, key }) => (stage === 'live' && key ? [key.id] : []))
        expect(new Set(keys).size).toBe(keys.length)
        expect(account.charged >= before.charged && account.authorized >= before.authorized).toBe(true)
        expect(account.requests >= before.requests).toBe(true)
        if (before.status !== 'open') expect(account.authorized).toBe(before.authorized)
        expect((account.claimable?.amount ?? 0n) >= (before.claimable?.amount ?? 0n)).toBe(true)
        for (const { signature } of [account.highest, account.next, account.claimable].filter(
          (v) => v !== undefined,
        ))
          expect(signed).toContain(signature)
      }
    }),
    { numRuns: 500 },
  )
})

const sound: Account.Account = {
  ...Account.open(aChannel(), 0),
  ...{ authorized: 500n, charged: 200n, reserved: 100n, claimed: 100n, highest: aVoucher(500n, 1n) },
}

const lease: Account.Lease = {
  ...{ nonce: 1n, held: 100n, captured: 0n, stage: 'live', endsAt: 1, key: undefined },
}

test('a sound account', () => Account.assertSound({ account: sound, leases: [lease] }))

test.each<[string, Partial<Account.Account>]>([
  ['charged below zero', { charged: -1n, claimed: 0n }],
  ['leases that hold something else', { reserved: 99n }],
  ['more on record than claimed', { accounted: 101n }],
  ['claimed > charged', { claimed: 201n }],
  ['charged + reserved > authorized', { charged: 401n }],
  ['claiming > authorized', { claiming: 501n }],
  ['authorized > deposit', { deposit: 499n }],
  ['authorized without its voucher', { highest: undefined }],
  ['claimable > charged', { claimable: aVoucher(201n, 2n) }],
  ['next that is charged already', { next: aVoucher(200n, 2n) }],
  ['final amount of an open channel', { finalAmount: 300n }],
  ['final amount below charged + reserved', { finalAmount: 299n, status: 'closing' }],
])('refuses %s', (_, change) => {
  expect(() => Account.assertSound({ account: { ...sound, ...change }, leases: [lease] })).toThrow(
    LedgerInvariantError,
  )
})
