import fc from 'fast-check'
import { expect, test } from 'vitest'
import { aChannel, aVoucher } from '../fixtures.ts'
import { ledgerModel } from '../ledgerModel.ts'
import type { Setting } from './Setting.ts'

/** Random histories of one channel, held against the model. `runs`: how many. */
export function histories({ clock, start }: Setting, runs: number): void {
  test('any history ends as in the model', async () => {
    const ledger = await start()
    await fc.assert(
      fc.asyncProperty(anyHistory, async (history) => {
        const channel = aChannel({ deposit: 120n })
        const model = ledgerModel(channel.deposit, clock.now)
        const issued: bigint[] = []
        await ledger.raise({ channel, voucher: aVoucher(0n, 0n) })
        model.raise(aVoucher(0n, 0n))

        for (const step of history) {
          if (step.op === 'wait') clock.advance(step.ms)
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
              const { quote, leaseMs, key } = step
              outcomes = [
                await ledger.reserve({ channel, voucher, quote, leaseMs, key }),
                model.reserve(voucher, quote, leaseMs, key),
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
              outcomes = [
                await ledger.capture(id, amount, { final }),
                model.capture(picked, amount, { final }),
              ]
              break
            }
            case 'hold': {
              const options = { final: false, hold: step.hold }
              outcomes = [
                await ledger.capture(id, step.amount, options),
                model.capture(picked, step.amount, options),
              ]
              break
            }
            case 'release':
              outcomes = [await ledger.release(id), model.capture(picked, 0n, { final: true })]
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
            const { captured, held, ...rest } = expected as { ok: boolean; captured?: bigint; held?: bigint }
            expect(real).toMatchObject(step.op === 'release' ? rest : expected)
          }
          expect(await ledger.get(channel.channelId)).toMatchObject(model.state())
          expect(await ledger.glance(channel.channelId)).toMatchObject(model.state())
        }
      }),
      { numRuns: runs },
    )
  })
}

/** Ten seconds: so that the time a step really takes makes no difference to a store with its own clock. */
const unit = 10_000
const amount = fc.bigInt(0n, 130n)
const leaseMs = fc.integer({ min: 1, max: 100 }).map((units) => units * unit)
const pick = fc.nat(20)
const nonce = fc.oneof(
  { weight: 6, arbitrary: fc.bigInt(0n, 60n) },
  { weight: 2, arbitrary: fc.bigInt(0n, 2500n) },
  { weight: 1, arbitrary: fc.bigInt(0n, 2n ** 63n - 1n) },
)
const key = fc.option(
  fc.record({ id: fc.constantFrom('0x01', '0x02'), fingerprint: fc.constantFrom('0x11', '0x12') }),
  { nil: undefined },
)
type Arbitraries<fields> = { [key in keyof fields]: fc.Arbitrary<fields[key]> }

function op<name extends string, fields>(weight: number, name: name, fields: Arbitraries<fields>) {
  const arbitrary = fc.record({ ...fields, op: fc.constant(name) })
  return { weight, arbitrary: arbitrary as fc.Arbitrary<fields & { op: name }> }
}

/** What may happen to a channel, mostly service. */
const anyHistory = fc.array(
  fc.oneof(
    op(16, 'reserve', { amount, nonce, leaseMs, key, quote: fc.bigInt(0n, 40n) }),
    op(4, 'raise', { amount, nonce }),
    op(8, 'capture', { pick, amount: fc.bigInt(0n, 50n), final: fc.boolean() }),
    op(4, 'hold', { pick, amount: fc.bigInt(0n, 50n), hold: fc.bigInt(0n, 60n) }),
    op(2, 'release', { pick }),
    op(4, 'extend', { pick, amount: fc.bigInt(0n, 40n) }),
    op(2, 'renew', { pick, leaseMs }),
    op(4, 'wait', { ms: fc.integer({ min: 1, max: 60 }).map((units) => units * unit) }),
    op(1, 'beginClaim', { amount }),
    op(1, 'recordClaimed', { amount }),
    op(1, 'endClaim', { amount }),
    op(1, 'freeze', {}),
    op(1, 'finalize', {}),
    op(1, 'markClosed', {}),
  ),
  { maxLength: 60, size: 'max' },
)
