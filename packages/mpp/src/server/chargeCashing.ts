/** Cashes what was worked for, once for each charge, and books what came of it: for the answer, the payer's share and the metrics. */
import { DrainError, InvalidFormatError, Usdc } from '@drain/core'
import type { SchemeContext } from '@drain/provider'
import { fromPayload, type SignedAuthorization } from '../authorization.ts'
import type { ChargeBudget } from './chargeBudget.ts'
import type { ChargeRecord, ChargeRecords } from './chargeRecords.ts'
import { isOver, type RefusedCharge, refusedBy } from './chargeRejections.ts'
import { type ChargeSettler, failedForGood, type Refusal, type Settled, unknown } from './chargeSettler.ts'

export type ChargeContext = Pick<
  SchemeContext,
  | 'deployment'
  | 'provider'
  | 'account'
  | 'client'
  | 'ledger'
  | 'transactions'
  | 'charges'
  | 'secp256k1'
  | 'metrics'
  | 'clock'
> & {
  channels: Pick<SchemeContext['channels'], 'now'>
  logger: Pick<SchemeContext['logger'], 'info' | 'warn'>
}

/** How a charge is cashed. */
export type Cashing = {
  block: bigint
  /** Its transfers so far, by their nonces in the journal. */
  sent?: ChargeRecord['sent']
  /** Whether one may be sent: else it is looked for what was. */
  sends?: boolean
  /** Who gives the answer, where that is not who did the work before. */
  owner?: string
  /** The answer is given bit by bit. */
  goesOn?: boolean
}

export type Cashed = (Settled & { isFirst: boolean | undefined }) | (RefusedCharge & Pick<Refusal, 'failure'>)

type Charge = Pick<SignedAuthorization, 'from' | 'nonce'>

export type ChargeCashing = {
  /** Cashes what work was done for, and writes down what came of it. */
  cash(authorization: SignedAuthorization, how: Cashing): Promise<Cashed>
  /** Its place in the payer's share is free again, and nothing is held against the payer. */
  giveUp(charge: Charge): Promise<void>
  /** Writes what the answer doesn't depend on: what fails is tried again, while nobody waits for it. */
  note(what: string, write: () => Promise<unknown>): Promise<void>
  /** Says what failed, without the words of others: they may carry the node's URL. */
  tellFailure(what: string, error: unknown): void
  /** A transfer may fail when nobody waits for it any more: looks after those, for as long as there are any. */
  lookLater(): void
}

/** When what could not be written down after a transfer was mined is tried again, in milliseconds. */
const writeAgainMs = [1_000, 10_000, 60_000]
/** How often it is looked what became of charges that nobody waits for any more. */
const lookAfterMs = 5_000
/** How often the transfer of one charge is sent: once more after one that has failed for good, since each costs its gas. */
const mostSendings = 2

export function createChargeCashing(
  context: Pick<ChargeContext, 'charges' | 'metrics' | 'logger'>,
  { records, budget, settler }: { records: ChargeRecords; budget: ChargeBudget; settler: ChargeSettler },
): ChargeCashing {
  const { metrics, logger } = context
  let isLooking = false

  function tellFailure(what: string, error: unknown): void {
    const code = error instanceof DrainError ? error.code : error instanceof Error ? error.name : 'unknown'
    logger.warn(what, { code })
  }

  async function note(what: string, write: () => Promise<unknown>, attempt = 0): Promise<void> {
    try {
      await write()
    } catch (error) {
      tellFailure(what, error)
      const delay = writeAgainMs[attempt]
      if (delay !== undefined) setTimeout(() => void note(what, write, attempt + 1), delay).unref?.()
    }
  }

  async function cash(
    authorization: SignedAuthorization,
    { block, sent = [], sends = true, owner, goesOn = false }: Cashing,
  ): Promise<Cashed> {
    const count = sent.length
    const settled = await settler.settle(
      authorization,
      block,
      sends
        ? {
            sent,
            claim: (before) => claim(authorization, count, before),
            wrote: (nonce) =>
              note('that a charge was sent is not written down', () =>
                records.wrote(authorization, count, nonce),
              ),
          }
        : undefined,
    )
    const { from, value } = authorization
    if (settled.ok) {
      const { txHash } = settled
      // Before anything is given for it. But it is paid: whatever fails here, the answer is given.
      await note('that a charge is answered is not written down', () =>
        context.charges.give(authorization, txHash),
      )
      let isFirst: boolean | undefined
      await note('that a charge is settled is not written down', async () => {
        isFirst = await records.settle(authorization, txHash, { owner, goesOn })
      })
      await note('a settled charge was not counted', () => budget.end(authorization, 'settled'))
      // Others may have waited for the same.
      if (isFirst !== false) {
        metrics.charges('settled', value)
        logger.info('charged', { from, amount: Usdc.display(value), txHash })
      }
      return { ...settled, isFirst }
    }
    const { failure } = settled
    logger.warn('a charge was not settled', { from, failure })
    const over = isOver(settled)
    // One that ends before a transfer of it was mined has waited for the provider, not for the payer.
    const isUntried = failure === 'expired' || failure === 'unsent'
    const isBlamed = isUntried ? await settler.hasFailed(sent) : over || failure === 'reverted'
    if (isBlamed) await countFailure(authorization)
    else if (over) await giveUp(authorization)
    else metrics.charges('pending')
    if (over) await records.fail(authorization)
    return { ...refusedBy(settled), failure }
  }

  function countFailure(charge: Charge): Promise<void> {
    return note('a failed charge was not counted', async () => {
      if (await budget.end(charge, 'failed')) metrics.charges('failed')
    })
  }

  function giveUp(charge: Charge): Promise<void> {
    return note('a place was not given back', async () => {
      if (await budget.end(charge, 'released')) metrics.charges('released')
    })
  }

  /**
   * Takes the right to send a transfer. Where one before has failed for good, though the token would still take it, this one may fail
   * too, at the payer's expense.
   */
  async function claim(
    authorization: SignedAuthorization,
    count: number,
    { tried, hasFailed }: { tried: number; hasFailed: boolean },
  ): Promise<Refusal | undefined> {
    if (tried >= mostSendings) return failedForGood
    if (!(await records.claim(authorization, count))) return unknown
    if (!hasFailed) return undefined
    await countFailure(authorization)
    return (await budget.enterAgain(authorization)) ? undefined : failedForGood
  }

  /** Whether there are still charges that nothing was given for. */
  async function lookAfter(): Promise<boolean> {
    let isLeft = false
    for await (const charge of context.charges.unanswered()) {
      isLeft = true
      const record = await records.get(charge)
      if (record?.state !== 'sending' || !(await settler.hasFailed(record.sent ?? []))) continue
      // Somebody else's may have paid.
      const looked = await settler.settle(authorizationIn(record), BigInt(record.block), undefined)
      if (!looked.ok && looked.failure !== 'pending') await countFailure(charge)
    }
    return isLeft
  }

  function lookLater(): void {
    if (isLooking) return
    isLooking = true
    const timer = setTimeout(async () => {
      isLooking = false
      try {
        if (await lookAfter()) lookLater()
      } catch (error) {
        tellFailure('charges could not be looked after', error)
      }
    }, lookAfterMs)
    timer.unref?.()
  }

  return { cash, giveUp, note, tellFailure, lookLater }
}

/** @throws {InvalidFormatError} */
export function authorizationIn({ payload }: ChargeRecord): SignedAuthorization {
  if (payload === undefined) throw new InvalidFormatError('charge record', 'it has no authorization')
  return fromPayload(JSON.parse(payload))
}
