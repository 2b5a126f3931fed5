/** The funds of one charge that was taken: held whole, cashed at the first cost, given back when there is none. */
import type { CaptureResult, ChannelState, Funds } from '@drain/provider'
import { PaymentFailedError } from '@drain/provider'
import { type SignedAuthorization, toPayload } from '../authorization.ts'
import type { ChargeBudget } from './chargeBudget.ts'
import type { ChargeCashing, ChargeContext } from './chargeCashing.ts'
import type { ChargeRecords } from './chargeRecords.ts'
import { refusedBy, usedBefore } from './chargeRejections.ts'
import { type Settled, unknown } from './chargeSettler.ts'

export type TakenCharge = {
  authorization: SignedAuthorization
  /** What stands in for the payer's channel. */
  account: ChannelState
  /** Who works for it. */
  owner: string
  /** The newest block before it. */
  block: bigint
  /** Frees its place among the charges that are worked for. */
  leave: () => void
  onSettled: (settled: Settled) => void
  /** It was cashed before, and nothing given for it. */
  isPaid?: boolean
}

export function createChargeFunds(
  { charges, metrics }: Pick<ChargeContext, 'charges' | 'metrics'>,
  { records, budget, cashing }: { records: ChargeRecords; budget: ChargeBudget; cashing: ChargeCashing },
): (taken: TakenCharge) => Funds {
  const { cash, note, tellFailure } = cashing
  return ({ authorization, account, owner, block, leave, onSettled, isPaid = false }) => {
    const { from, value } = authorization
    const charged = chargedOf(account)
    const released: ChannelState = { ...account, reserved: 0n }
    let state: 'taken' | 'settled' | 'ended' = isPaid ? 'settled' : 'taken'

    /** Nothing is sent for it: its payer may have another at work. Whoever has taken it over holds the place from then on. */
    function giveBack(): Promise<void> {
      return note('a place was not given back', async () => {
        await records.release(authorization, owner)
        if (!(await records.get(authorization))) await budget.end(authorization, 'released')
      })
    }

    async function beginSending(outcome: Uint8Array | undefined): Promise<void> {
      const payload = JSON.stringify(toPayload(authorization))
      try {
        await charges.expect({ ...authorization, block })
        if (!(await records.beginSending(authorization, owner, payload, outcome)))
          throw new PaymentFailedError(usedBefore.rejection)
      } catch (error) {
        await giveBack()
        throw error
      }
    }

    async function settle(outcome: Uint8Array | undefined, goesOn: boolean): Promise<void> {
      await beginSending(outcome)
      const cashed = await cash(authorization, { block, goesOn }).catch((error) => {
        // The store failed, and the transfer may be mined: nobody may say that it isn't.
        tellFailure('whether a charge was settled is not written down', error)
        return refusedBy(unknown)
      })
      if (!cashed.ok) {
        await note('a charge is kept from its retries', () => records.leave(authorization, owner))
        throw new PaymentFailedError(cashed.rejection)
      }
      state = 'settled'
      onSettled(cashed)
    }

    async function capture(
      cost: bigint,
      { final = true, outcome }: { final?: boolean; outcome?: Uint8Array | undefined },
    ): Promise<CaptureResult> {
      if (state === 'ended') return { ok: false, code: 'reservation_ended', state: account }
      if (state === 'taken' && cost > 0n) {
        // Whatever comes of it: it is not tried twice.
        state = 'ended'
        await settle(outcome, !final).finally(leave)
      } else if (state === 'settled' && final) {
        await note('the answer to a charge is not kept', () => records.finish(authorization, outcome))
      } else if (state === 'taken' && final) {
        state = 'ended'
        await giveBack().finally(leave)
        metrics.charges('released')
        return { ok: true, captured: 0n, held: 0n, state: released }
      }
      if (!final) return { ok: true, captured: cost, held: value - cost, state: account }
      state = 'ended'
      return { ok: true, captured: value, held: 0n, state: charged }
    }

    return {
      account,
      consumer: from,
      takesWhole: true,
      capture,
      // What is paid is worked for to its end.
      renew: async () => (await records.renew(authorization, owner)) || state !== 'taken',
    }
  }
}

/** The account once the charge is paid. */
export function chargedOf(account: ChannelState): ChannelState {
  return { ...account, reserved: 0n, charged: account.deposit, requests: 1n }
}
