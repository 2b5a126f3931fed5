/** Who may be worked for before its money is there: of one payer, of one address, of all; in one process and in several. */
import { memoryLedger } from '@drain/provider'
import { type Address, type Hex, numberToHex } from 'viem'
import { expect, test } from 'vitest'
import { type ChargeBudgetInput, createChargeBudget } from './chargeBudget.ts'

const address = (number: number) => numberToHex(number, { size: 20 })
const value = 10n
const rich = 1_000_000n
const start = Date.parse('2026-03-01T12:00:00Z')

function setUp(input: ChargeBudgetInput = {}) {
  let now = start
  let nonces = 0
  const identity = { chainId: 31337, contract: address(1), provider: address(2) }
  const { notebook } = memoryLedger({ now: () => now, log: () => {} })(identity)
  const another = () => createChargeBudget(input, () => now, notebook)
  const budget = another()
  const charge = (from: Address, amount = value, nonce: Hex = numberToHex(++nonces, { size: 32 })) => ({
    ...{ from, to: address(2), value: amount, validAfter: 0n, nonce },
    validBefore: BigInt(now / 1_000) + 300n,
  })
  const codeOf = (entered: Awaited<ReturnType<typeof budget.enter>> | undefined) => {
    if (entered === 'poor' || entered === undefined) return entered ?? 'asked'
    return entered.ok ? 'taken' : entered.rejection.code
  }
  return {
    ...{ budget, another, notebook, charge },
    pass: (ms: number) => {
      now += ms
    },
    ask: async (from: Address, remoteAddress?: string, isSigned = true) =>
      codeOf(await budget.ask(charge(from), { isSigned, remoteAddress })),
    enter: async (one = charge(address(9)), balance = rich, by = budget) =>
      codeOf(await by.enter(one, balance)),
    /** Takes a charge of a payer and ends it. */
    async have(end: 'settled' | 'failed', from: Address, amount = value) {
      const one = charge(from, amount)
      const entered = await budget.enter(one, rich)
      if (entered === 'poor' || !entered.ok) throw new Error('refused')
      entered.leave()
      return budget.end(one, end)
    },
  }
}

const [thief, honest] = [address(9), address(10)]
const times = <result>(count: number, make: (index: number) => result) =>
  Array.from({ length: count }, (_, index) => make(index))
const count = (codes: string[], code: string) => codes.filter((one) => one === code).length

test('of many charges at once of one payer no more are let in than may fail a day, in all processes', async () => {
  const { budget, another, charge, enter, ask } = setUp()
  const charges = times(12, () => charge(thief))
  const other = another()
  const codes = await Promise.all(
    charges.map((one, index) => enter(one, rich, index % 2 === 0 ? budget : other)),
  )
  expect([count(codes, 'taken'), count(codes, 'rate_limited')]).toEqual([3, 9])
  expect(await ask(thief)).toBe('rate_limited')
  const taken = charges.filter((_, index) => codes[index] === 'taken')
  expect(await Promise.all(taken.map((one) => budget.end(one, 'failed')))).toEqual([true, true, true])
  expect(await enter(charge(thief))).toBe('rate_limited')
  expect(await enter(charge(honest))).toBe('taken')
})

test('a payer that has paid may have more at work, but never more than a quarter of all', async () => {
  const { charge, enter, have } = setUp({ atOnce: 24 })
  await have('settled', honest)
  const codes = await Promise.all(times(12, () => enter(charge(honest))))
  expect(count(codes, 'taken')).toBe(4)
  for (let paid = 0; paid < 9; paid += 1) await have('settled', thief)
  expect(count(await Promise.all(times(12, () => enter(charge(thief)))), 'taken')).toBe(6)
})

test('beyond what may fail of it, a payer has no more at work than it has paid, and what fails of that it pays again', async () => {
  const { budget, charge, enter, ask, have, pass, another } = setUp()
  for (let paid = 0; paid < 20; paid += 1) await have('settled', thief)
  // 200 in all: the three largest may fail, two of the others are paid for.
  const dear = [90n, 80n, 100n, 90n, 80n, 90n, 80n].map((amount) => charge(thief, amount))
  const other = another()
  const codes = []
  for (const [index, one] of dear.entries())
    codes.push(await enter(one, rich, index % 2 === 0 ? budget : other))
  expect(codes).toEqual([...Array(5).fill('taken'), ...Array(2).fill('rate_limited')])
  expect(await ask(thief)).toBe('asked')
  expect(count(await Promise.all(times(12, () => enter(charge(thief)))), 'taken')).toBe(4)
  await Promise.all(dear.map((one) => budget.end(one, 'failed')))
  pass(86_400_000)
  expect(count(await Promise.all(times(12, () => enter(charge(thief)))), 'taken')).toBe(3)
})

test('a payer of whom only its counts are known has paid nothing', async () => {
  const { charge, enter, notebook } = setUp()
  const write = JSON.stringify({ work: {}, settled: 9, failed: 0, failedThen: 0, day: '2026-03-01' })
  await notebook.write(`charge-payer/${honest}`, () => ({ result: undefined, write }))
  expect(count(await Promise.all(times(9, () => enter(charge(honest)))), 'taken')).toBe(3)
})

test('a charge that is settled after all takes its place anew, if its payer may have one, and ends anew', async () => {
  const { budget, charge, enter } = setUp({ failuresPerPayer: 2 })
  const one = charge(thief)
  await enter(one)
  await budget.end(one, 'failed')
  expect([await budget.enterAgain(one), await enter(charge(thief))]).toEqual([true, 'rate_limited'])
  expect(await budget.end(one, 'failed')).toBe(true)
  expect(await budget.enterAgain(one)).toBe(false)
})

test('those that have paid none yet leave half of the places to those that have', async () => {
  const { charge, enter, have } = setUp({ atOnce: 8 })
  await have('settled', honest)
  const codes = await Promise.all(times(8, (index) => enter(charge(address(100 + index)))))
  expect(count(codes, 'taken')).toBe(4)
  expect([await enter(charge(honest)), await enter(charge(honest))]).toEqual(['taken', 'taken'])
})

test('what it has taken in vain it must pay for before it is trusted again, and not on the same day', async () => {
  const { charge, enter, have, pass } = setUp()
  for (let paid = 0; paid < 2; paid += 1) await have('settled', thief)
  for (let failed = 0; failed < 3; failed += 1) await have('failed', thief)
  expect(await enter(charge(thief))).toBe('rate_limited')
  pass(86_400_000)
  expect(count(await Promise.all(times(5, () => enter(charge(thief)))), 'taken')).toBe(3)
})

test('what has failed on a day leaves so much less for what is at work', async () => {
  const { charge, enter, have } = setUp()
  await have('failed', thief)
  expect(count(await Promise.all(times(5, () => enter(charge(thief)))), 'taken')).toBe(2)
})

test('a charge ends once, and copies of it share a place', async () => {
  const { budget, another, charge, enter } = setUp({ failuresPerPayer: 1 })
  const one = charge(thief)
  expect([await enter(one), await enter(one, rich, another())]).toEqual(['taken', 'taken'])
  expect(await enter(charge(thief))).toBe('rate_limited')
  expect([await budget.end(one, 'released'), await budget.end(one, 'failed')]).toEqual([true, false])
  expect(await enter(charge(thief))).toBe('taken')
})

test('the charges at work of a payer must be covered together', async () => {
  const { charge, enter, another } = setUp()
  expect(await enter(charge(thief), 2n * value)).toBe('taken')
  expect(await enter(charge(thief), 2n * value, another())).toBe('taken')
  expect(await enter(charge(thief), 2n * value)).toBe('poor')
})

test('the place of a process that died is free five minutes after its authorization has ended', async () => {
  const { charge, enter, another, pass } = setUp({ failuresPerPayer: 1 })
  await enter(charge(thief), rich, another())
  // Whoever sends its body slowly is still worked for after that.
  pass(599_000)
  expect(await enter(charge(thief))).toBe('rate_limited')
  pass(1_000)
  expect(await enter(charge(thief))).toBe('taken')
})

test('strangers leave half of the questions for those that have paid, and one address has a share', async () => {
  const { ask, have, pass } = setUp({ perMinute: 40 })
  await have('settled', honest)
  let strangers = 100
  const from = async (remote?: string) => ask(address(++strangers), remote)
  expect([await from('1.2.3.4'), await from('1.2.3.4'), await from('1.2.3.4')]).toEqual([
    ...['asked', 'asked', 'rate_limited'],
  ])
  expect([await from('2001:db8::1'), await from('2001:db8::2'), await from('2001:db8::3')]).toEqual([
    ...['asked', 'asked', 'rate_limited'],
  ])
  expect(count(await Promise.all(times(30, () => from())), 'asked')).toBe(16)
  expect(await ask(honest)).toBe('asked')
  pass(60_000)
  expect(await from()).toBe('asked')
})

test('whoever names a payer that has paid, without its signature, takes nothing of its share', async () => {
  const { ask, have } = setUp({ perMinute: 40 })
  await have('settled', honest)
  const named = await Promise.all(times(30, () => ask(honest, '1.2.3.4', false)))
  expect(count(named, 'asked')).toBe(2)
  expect(count(await Promise.all(times(30, (index) => ask(honest, `1.2.${index}.1`, false))), 'asked')).toBe(
    18,
  )
  expect(count(await Promise.all(times(30, () => ask(honest, '1.2.3.4'))), 'asked')).toBe(20)
})

test('when too much was in vain on a day only those are served that have paid, until it is over', async () => {
  const { charge, ask, enter, have, pass, another, budget } = setUp({ failuresPerDay: 2 })
  await have('settled', honest)
  for (const one of [11, 12]) await have('failed', address(one))
  expect(await another().ask(charge(address(13)), { isSigned: true })).toMatchObject({
    rejection: { code: 'rate_limited' },
    retryAfterSeconds: 12 * 3_600,
  })
  expect([await ask(honest), await enter(charge(honest))]).toEqual(['asked', 'taken'])
  pass(12 * 3_600_000)
  expect(await ask(address(13))).toBe('asked')
  await budget.prune()
})

test('who has paid once, and failed as often, counts as a stranger again', async () => {
  const { ask, have } = setUp({ failuresPerDay: 1 })
  await have('settled', thief)
  await have('failed', thief)
  await have('settled', honest)
  expect([await ask(thief), await ask(honest)]).toEqual(['rate_limited', 'asked'])
})

test('who was not heard of for a month is forgotten, and who did nothing leaves nothing', async () => {
  const { charge, budget, have, enter, notebook, pass } = setUp()
  const released = charge(address(20))
  await enter(released)
  await budget.end(released, 'released')
  await have('failed', thief)
  async function keys(): Promise<string[]> {
    const found = []
    for await (const { key } of notebook.read('charge-')) found.push(key)
    return found
  }
  expect(await keys()).toHaveLength(2)
  pass(86_400_000)
  await budget.prune()
  expect(await keys()).toEqual([expect.stringContaining(thief)])
  pass(31 * 86_400_000)
  await budget.prune()
  expect(await keys()).toEqual([])
})
