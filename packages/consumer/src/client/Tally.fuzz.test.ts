import fc from 'fast-check'
import { expect, test } from 'vitest'
import * as Tally from './Tally.ts'

const amount = fc.bigInt(0n, 200n)

/** What can happen to a channel, with whatever a provider may claim. */
const event = fc.oneof(
  fc.record({ kind: fc.constant('reserve' as const), quote: amount }),
  fc.record({
    kind: fc.constant('settle' as const),
    pick: fc.nat(),
    cost: amount,
    total: fc.bigInt(0n, 10_000n),
  }),
  fc.record({ kind: fc.constantFrom('lose' as const, 'release' as const), pick: fc.nat() }),
  fc.record({
    kind: fc.constant('reconcile' as const),
    pick: fc.nat(),
    quote: amount,
    required: fc.bigInt(0n, 10_000n),
  }),
)

test('whatever a provider reports: never more than delivered, believed lost and under way', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), fc.bigInt(0n, 600n), (events, most) => {
      let tally = Tally.start(2_000n)
      let busiest = 0n
      const believed = () => tally.delivered + (tally.lost < most ? tally.lost : most)
      const open: bigint[] = []
      for (const step of events) {
        const before = tally
        if (step.kind === 'reserve') {
          const reserved = Tally.reserve(tally, step.quote)
          if (reserved) {
            tally = reserved.tally
            open.push(step.quote)
            expect(reserved.amount).toBeLessThanOrEqual(believed() + tally.inFlight)
          }
        } else if (open.length > 0) {
          const index = step.pick % open.length
          const quote = open[index] ?? 0n
          if (step.kind === 'reconcile') {
            const result = Tally.reconcile(tally, quote, step.quote, step.required, most)
            if (typeof result !== 'string') {
              tally = result.tally
              open[index] = step.quote
              expect(result.amount).toBeGreaterThanOrEqual(step.required)
              expect(result.amount).toBeLessThanOrEqual(believed() + tally.inFlight)
            }
          } else {
            open.splice(index, 1)
            if (step.kind === 'settle') tally = Tally.settle(tally, quote, step, most)
            else tally = step.kind === 'lose' ? Tally.lose(tally, quote) : Tally.release(tally, quote)
          }
        }
        expect(tally.inFlight).toBe(open.reduce((sum, quote) => sum + quote, 0n))
        if (tally.inFlight > busiest) busiest = tally.inFlight
        expect(tally.signed).toBeLessThanOrEqual(tally.delivered + most + busiest)
        expect(tally.charged).toBeLessThanOrEqual(believed())
        expect(tally.charged + tally.inFlight).toBeLessThanOrEqual(tally.signed)
        expect(tally.signed).toBeLessThanOrEqual(tally.deposit)
        for (const field of ['signed', 'charged', 'delivered', 'lost'] as const) {
          expect(tally[field]).toBeGreaterThanOrEqual(before[field])
        }
      }
    }),
    { numRuns: 500 },
  )
})

/** An honest provider: what the ledger of protocol §3 does with vouchers, quotes and real costs. */
test('with an honest provider, in any order and with losses: always paid, after at most one correction', () => {
  const most = 40n * 50n
  const request = fc.record({
    quote: fc.bigInt(1n, 50n),
    share: fc.integer({ min: 0, max: 100 }),
    answer: fc.constantFrom('told', 'told', 'told', 'lost', 'never arrived'),
    finishesAfter: fc.nat({ max: 5 }),
  })
  fc.assert(
    fc.property(fc.array(request, { minLength: 1, maxLength: 40 }), (requests) => {
      let tally = Tally.start(1_000_000n)
      const provider = { authorized: 0n, charged: 0n, reserved: 0n }
      const running: { until: number; quote: bigint; cost: bigint; answer: string }[] = []

      const finishDue = (now: number) => {
        for (const one of running.filter(({ until }) => until <= now)) {
          running.splice(running.indexOf(one), 1)
          if (one.answer !== 'never arrived') {
            provider.reserved -= one.quote
            provider.charged += one.cost
          }
          tally =
            one.answer === 'told'
              ? Tally.settle(tally, one.quote, { cost: one.cost, total: provider.charged }, most)
              : Tally.lose(tally, one.quote)
        }
      }
      const arrive = (amount: bigint, quote: bigint) => {
        if (amount > provider.authorized) provider.authorized = amount
        if (provider.charged + provider.reserved + quote > provider.authorized) return false
        provider.reserved += quote
        return true
      }

      requests.forEach(({ quote, share, answer, finishesAfter }, now) => {
        finishDue(now)
        const reserved = Tally.reserve(tally, quote)
        if (!reserved) throw new Error('the deposit is large enough')
        tally = reserved.tally
        if (answer !== 'never arrived' && !arrive(reserved.amount, quote)) {
          const required = provider.charged + provider.reserved + quote
          const corrected = Tally.reconcile(tally, quote, quote, required, most)
          if (typeof corrected === 'string') throw new Error(`an honest provider is ${corrected}`)
          tally = corrected.tally
          expect(arrive(corrected.amount, quote)).toBe(true)
        }
        running.push({ until: now + finishesAfter, quote, cost: (quote * BigInt(share)) / 100n, answer })
      })
      finishDue(Number.POSITIVE_INFINITY)
      expect(provider.charged).toBeLessThanOrEqual(tally.signed)
    }),
    { numRuns: 500 },
  )
})

test('without losses the sum is exact: what is charged is the sum of costs, and no correction is needed', () => {
  const request = fc.record({
    quote: fc.bigInt(1n, 50n),
    share: fc.integer({ min: 0, max: 100 }),
    finishesAfter: fc.nat({ max: 5 }),
  })
  fc.assert(
    fc.property(fc.array(request, { minLength: 1, maxLength: 40 }), (requests) => {
      let tally = Tally.start(1_000_000n)
      let charged = 0n
      let running: { until: number; quote: bigint; cost: bigint }[] = []
      const finishDue = (now: number) => {
        const due = running.filter(({ until }) => until <= now)
        running = running.filter(({ until }) => until > now)
        // All were charged before any of their answers arrives here.
        for (const { cost } of due) charged += cost
        for (const { quote, cost } of due) tally = Tally.settle(tally, quote, { cost, total: charged }, 0n)
      }
      requests.forEach(({ quote, share, finishesAfter }, now) => {
        finishDue(now)
        const reserved = Tally.reserve(tally, quote)
        if (!reserved) throw new Error('the deposit is large enough')
        tally = reserved.tally
        running.push({ until: now + finishesAfter, quote, cost: (quote * BigInt(share)) / 100n })
        expect(reserved.amount).toBe(charged + running.reduce((sum, one) => sum + one.quote, 0n))
      })
      finishDue(Number.POSITIVE_INFINITY)
      expect(tally.charged).toBe(charged)
      expect(tally.delivered).toBe(charged)
    }),
    { numRuns: 500 },
  )
})

test('an unanswered request is paid for up to the limit, and says so beyond it', () => {
  const most = 25n
  let tally = Tally.start(1_000n)
  const fail = () => {
    const reserved = Tally.reserve(tally, 10n)
    if (!reserved) throw new Error('the deposit is large enough')
    const result = Tally.reconcile(reserved.tally, 10n, 10n, tally.signed + 10n, most)
    if (typeof result === 'string') return result
    tally = Tally.lose(result.tally, 10n)
    return result.amount
  }
  expect([fail(), fail(), fail(), fail()]).toEqual([10n, 20n, 30n, 'undelivered'])
  expect(Tally.reconcile(tally, 0n, 10n, 1_000n, most)).toBe('unbelievable')
  // What may rightly have been charged can be settled all the same.
  expect(Tally.bound(tally)).toBe(30n)
  expect(Tally.believable(tally, most)).toBe(25n)
})
