import fc from 'fast-check'
import { expect, test } from 'vitest'
import * as Account from './Account.ts'
import { LedgerInvariantError } from './Errors.ts'
import { aChannel, aVoucher } from './fixtures.ts'

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
      let account = Account.open(aChannel(), 0)
      const leases = new Map<bigint, Account.Lease>()
      const signed = new Set<string>()

      for (const [index, [name, amount, small, which, flag]] of history.entries()) {
        const before = account
        const voucher = aVoucher(amount, BigInt(index))
        const lease = [...leases.values()][which]
        let step: Account.Step<string> = { account }
        if (name === 'reserve') step = Account.reserve(account, voucher, small, index)
        else if (name === 'raise') step = Account.raise(account, voucher)
        else if (name === 'claim') step = Account.beginClaim(account, amount % (account.authorized + 1n))
        else if (name === 'freeze' && flag) step = Account.freeze(account)
        else if (lease && name === 'capture') step = Account.capture(account, lease, small, flag)
        else if (lease && name === 'extend') step = Account.extend(account, lease, small)
        else if (lease && name === 'lapse') {
          const lapsed = Account.lapse(account, [lease], index)
          step = { account: lapsed.account, lease: lapsed.leases[0] ?? lease }
        }
        account = step.account
        if (step.lease) leases.set(step.lease.nonce, step.lease)
        for (const { nonce, stage } of leases.values()) if (stage === 'ended') leases.delete(nonce)
        if (account.nonces !== before.nonces) signed.add(voucher.signature)

        Account.assertSound(account)
        const live = [...leases.values()].filter(({ stage }) => stage === 'live')
        expect(live.reduce((sum, { held }) => sum + held, 0n)).toBe(account.reserved)
        expect(account.charged >= before.charged && account.authorized >= before.authorized).toBe(true)
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

test('a sound account', () => Account.assertSound(sound))

test.each<[string, Partial<Account.Account>]>([
  ['charged below zero', { charged: -1n, claimed: 0n }],
  ['reserved below zero', { reserved: -1n }],
  ['claimed > charged', { claimed: 201n }],
  ['charged + reserved > authorized', { reserved: 301n }],
  ['claiming > authorized', { claiming: 501n }],
  ['authorized > deposit', { deposit: 499n }],
  ['authorized without its voucher', { highest: undefined }],
  ['claimable > charged', { claimable: aVoucher(201n, 2n) }],
  ['next that is charged already', { next: aVoucher(200n, 2n) }],
  ['final amount of an open channel', { finalAmount: 300n }],
  ['final amount below charged + reserved', { finalAmount: 299n, status: 'closing' }],
])('refuses %s', (_, change) => {
  expect(() => Account.assertSound({ ...sound, ...change })).toThrow(LedgerInvariantError)
})
