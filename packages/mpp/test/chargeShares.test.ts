/** Shares of the work: what a payer may have at work at once, and what is let in of all. */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { memoryLedger, PaymentFailedError, type Paywall } from '@drain/provider'
import { sqliteLedger } from '@drain/provider/sqlite'
import type { Address, LocalAccount } from 'viem'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Fixture, startFixture } from '../../provider/test/fixture.ts'
import type { ChargeInput } from '../src/server/charges.ts'
import { authorize, breakable, chargesOf, codeOf, fundsOf, moveUsdc } from './charging.ts'

let fixture: Fixture
let paywall: Paywall
const price = 20_000n

beforeAll(async () => {
  fixture = await startFixture()
  paywall = fixture.paywall()
})
afterAll(() => fixture?.close())

function account(index: number): LocalAccount {
  const found = fixture.chain.accounts[index]
  if (!found) throw new Error('no account')
  return found
}

const move = (from: LocalAccount, to: Address = fixture.stranger.address, rest = 0n) =>
  moveUsdc(fixture, from, to, rest)

test('a payer that moves its money away while work is done is refused after a few times', async () => {
  const charges = chargesOf(paywall, { failuresPerPayer: 2 })
  const thief = account(7)
  const begin = async () =>
    charges.begin(await authorize(fixture, price, { signer: thief }), { quote: price })
  for (let round = 0; round < 2; round += 1) {
    const funds = fundsOf(await begin())
    await move(thief)
    await expect(funds.capture(price, {})).rejects.toMatchObject({
      rejection: { code: 'insufficient_funds' },
    })
    await move(fixture.stranger, thief.address)
  }
  expect(codeOf(await begin())).toBe('rate_limited')
})

test('a balance lets in as many charges at once as it covers', async () => {
  const charges = chargesOf(paywall)
  const poor = account(8)
  await move(poor, fixture.stranger.address, 2n * price)
  const authorizations = await Promise.all(
    Array.from({ length: 5 }, () => authorize(fixture, price, { signer: poor })),
  )
  const begin = () => Promise.all(authorizations.map((one) => charges.begin(one, { quote: price })))
  const begun = await begin()
  expect(begun.map(codeOf).toSorted()).toEqual([
    ...Array(3).fill('insufficient_funds'),
    ...Array(2).fill('taken'),
  ])
  // What came to nothing makes room again.
  for (const one of begun) if (one.ok) await one.funds.capture(0n, {})
  expect((await begin()).filter(({ ok }) => ok)).toHaveLength(2)
})

describe('a store that fails once the work is done shuts no payer out', () => {
  const writes: [string, (key: string, text: string) => boolean][] = [
    ['for the charge to be expected', (key) => key.startsWith('charge-due/')],
    ['for its transfer to be sent', (_, text) => text.includes('"sending"')],
    ['for both, and for whatever comes then', () => true],
  ]
  test.each(writes)('%s', async (_, concerns) => {
    let isFull = false
    const store = memoryLedger({ log: () => {} })
    const ledger = breakable(store, (key, text) => isFull && concerns(key, text ?? ''))
    const charges = chargesOf(fixture.paywall({ ledger }), { failuresPerPayer: 1 })
    const begin = async () => charges.begin(await authorize(fixture, price), { quote: price })
    const before = await fixture.balance(fixture.provider.address)
    const funds = fundsOf(await begin())
    isFull = true
    await expect(funds.capture(price, { outcome: new Uint8Array([1]) })).rejects.toMatchObject({
      code: 'ledger_unavailable',
    })
    isFull = false
    // What could not be written then is written a second later.
    await expect.poll(async () => codeOf(await begin()), { timeout: 10_000 }).toBe('taken')
    expect(await fixture.balance(fixture.provider.address)).toBe(before)
  })
})

describe('two processes on one ledger', () => {
  /** Each has its own memory, and the file. */
  async function two(input: Partial<ChargeInput> = {}) {
    const path = join(fixture.folder, `two-${randomUUID()}.db`)
    const open = () => fixture.paywall({ ledger: sqliteLedger(path, { log: () => {} }) })
    const [one, other] = [open(), open()]
    await one.ready()
    return {
      one: chargesOf(one, input),
      other: chargesOf(other, input),
      third: () => chargesOf(open(), input),
    }
  }

  test('count what was worked for in vain together, and so does one that starts later', async () => {
    const { one, other, third } = await two({ failuresPerPayer: 1, failuresPerDay: 2 })
    const thieves = [7, 9].map((index) => account(index))
    const begin = async (charges: typeof one, signer: LocalAccount) =>
      charges.begin(await authorize(fixture, price, { signer }), { quote: price })
    for (const [index, thief] of thieves.entries()) {
      const funds = fundsOf(await begin(index === 0 ? one : other, thief))
      await move(thief, fixture.stranger.address)
      await expect(funds.capture(price, {})).rejects.toBeInstanceOf(PaymentFailedError)
      await move(fixture.stranger, thief.address)
      expect(codeOf(await begin(other, thief))).toBe('rate_limited')
    }
    // Two were as many as a day bears.
    for (const charges of [one, other, third()])
      expect(codeOf(await begin(charges, fixture.consumer))).toBe('rate_limited')
  })

  test('let in together what a balance covers, and no more', async () => {
    const { one, other } = await two()
    const poor = account(6)
    await move(poor, fixture.stranger.address, price)
    const before = await fixture.balance(fixture.provider.address)
    const begun = await Promise.all(
      [one, other].map(async (charges) =>
        charges.begin(await authorize(fixture, price, { signer: poor }), { quote: price }),
      ),
    )
    expect(begun.map(codeOf).toSorted()).toEqual(['insufficient_funds', 'taken'])
    for (const one of begun) if (one.ok) await one.funds.capture(price, {})
    expect(await fixture.balance(fixture.provider.address)).toBe(before + price)
  })
})

test('no more charges are worked for at once than allowed, whoever pays', async () => {
  // Those that have paid none have half of them.
  const charges = chargesOf(fixture.paywall(), { atOnce: 4 })
  const begin = async (signer: LocalAccount) =>
    charges.begin(await authorize(fixture, price, { signer }), { quote: price })
  const [first, second, third] = [await begin(account(0)), await begin(account(4)), await begin(account(5))]
  expect([first, second, third].map(codeOf)).toEqual(['taken', 'taken', 'rate_limited'])
  await fundsOf(first).capture(0n, {})
  expect(codeOf(await begin(account(5)))).toBe('taken')
})
