/**
 * Who may be worked for before its money is there. Charges that come to nothing cost questions to the node for credentials that are
 * never settled, work, and gas for transactions that fail, since the payer has moved its money away meanwhile.
 *
 * A payer's share is what it may have at work at once: at first as many as may fail a day, and one more for each that it has paid, of
 * no more than it has paid in all. It is durable, and one for all processes on the ledger. Questions to the node are counted in memory,
 * for this process.
 */
import { DrainError } from '@drain/core'
import { type Notebook, networkOf } from '@drain/provider'
import type { Address } from 'viem'
import type { Authorization } from '../authorization.ts'
import { atWork, type ChargeEnd, createChargePayers, type Payer } from './chargePayers.ts'
import { type RefusedCharge, refuseCharge } from './chargeRejections.ts'

export type ChargeBudgetInput = {
  /**
   * Credentials a minute that the node is asked about, by this process. Default 1,200: half of them for payers that have paid, and at
   * most a twentieth for one address that others ask from.
   */
  perMinute?: number | undefined
  /**
   * Charges that are worked for at once, in this process: what those who move their money away at the right moment can take. Those
   * that have not paid more often than they failed have half of them together at most, and one payer a quarter. Default 100.
   */
  atOnce?: number | undefined
  /**
   * Charges a day (UTC) of one payer that may fail after the work was done: then it is refused until the day is over. Also how many
   * one may have at work that has paid none yet; what others have beyond that must come to no more than they have paid. Default 3.
   */
  failuresPerPayer?: number | undefined
  /**
   * The same of all payers: then only those are served that have paid more often than they failed, until the day is
   * over. Default 100.
   */
  failuresPerDay?: number | undefined
}

export type ChargeBudget = {
  /**
   * Why the node is not to be asked about a charge, if it isn't.
   * @param asker.isSigned Whether it is the payer that asks: anybody may name one that has paid.
   * @param asker.remoteAddress Where it asks from, where that is known.
   */
  ask(
    charge: Authorization,
    asker: { isSigned: boolean; remoteAddress?: string | undefined },
  ): Promise<RefusedCharge | undefined>
  /**
   * Takes a place for a charge, durably, or says why not; `poor`: the payer's charges come to more than its `balance`. Call `leave`
   * when this process doesn't work for it any more, and `end` when it has ended.
   */
  enter(charge: Authorization, balance: bigint): Promise<{ ok: true; leave(): void } | RefusedCharge | 'poor'>
  /** Takes a place for a charge that has ended and is to be settled after all, durably, if its payer may have one. */
  enterAgain(charge: Authorization): Promise<boolean>
  /** Writes down how a charge has ended. `false`: that was done before. */
  end(charge: Pick<Authorization, 'from' | 'nonce'>, end: ChargeEnd): Promise<boolean>
  prune(): Promise<void>
}

const failuresPrefix = 'charge-failures/'
const rememberedDays = 30
const dayMs = 86_400_000
/** How long an authorization that has ended is remembered among those at work, in seconds: it may have failed by that. */
const lingerSeconds = 3_600n

/** @throws {DrainError} `invalid_limit` */
export function createChargeBudget(
  { perMinute = 1_200, atOnce = 100, failuresPerPayer = 3, failuresPerDay = 100 }: ChargeBudgetInput,
  /** Milliseconds since 1970. */
  clock: () => number,
  notebook: Notebook,
): ChargeBudget {
  for (const [name, value] of Object.entries({ perMinute, atOnce, failuresPerPayer, failuresPerDay })) {
    if (Number.isSafeInteger(value) && value > 0) continue
    throw new DrainError('invalid_limit', `evmCharge.${name} is ${value}.`, {
      action: 'Use a positive whole number.',
    })
  }
  const dayOf = (at: number) => new Date(at).toISOString().slice(0, 10)
  const failuresKey = () => failuresPrefix + dayOf(clock())
  const payers = createChargePayers(notebook, () => dayOf(clock()))
  const asked = { minute: Number.NaN, all: 0, strangers: 0, each: new Map<string, number>() }
  const working = { all: 0, strangers: 0 }

  /** Whether a payer may have charges of these amounts at work: the largest are those that may fail, the others must be paid for. */
  function mayHave({ settled, failed, failedThen, paidAmount }: Payer, amounts: readonly bigint[]): boolean {
    const free = failuresPerPayer - failedThen
    if (free <= 0 || amounts.length > Math.min(partOf(atOnce, 4), free + Math.max(0, settled - failed)))
      return false
    const trusted = amounts.toSorted((a, b) => (a < b ? 1 : -1)).slice(free)
    return trusted.length === 0 || sumOf(trusted) <= BigInt(paidAmount)
  }

  function refuseShare({ failedThen }: Payer): RefusedCharge {
    return failedThen >= failuresPerPayer ? untilTomorrow() : busy('This payer has', 2)
  }

  /** A payer with one more charge at work. */
  function withWork(payer: Payer, { nonce, value, validBefore }: Authorization, seconds: bigint): Payer {
    const left = Object.entries(payer.work).filter(([, { until }]) => BigInt(until) + lingerSeconds > seconds)
    const own = { value: String(value), until: String(validBefore) }
    return { ...payer, work: { ...Object.fromEntries(left), [nonce]: own } }
  }

  function untilTomorrow(): RefusedCharge {
    const seconds = Math.ceil((dayMs - (clock() % dayMs)) / 1_000)
    const message = 'Too many charges could not be settled after the work today: pay from a channel.'
    return refuseCharge('rate_limited', message, undefined, seconds)
  }

  async function failuresOfToday(): Promise<number> {
    const key = failuresKey()
    for await (const note of notebook.read(key)) if (note.key === key) return Number(note.text)
    return 0
  }

  async function refuseStranger(payer: Payer): Promise<RefusedCharge | undefined> {
    return isNew(payer) && (await failuresOfToday()) >= failuresPerDay ? untilTomorrow() : undefined
  }

  /** Takes one question to the node. */
  function mayAsk(isStranger: boolean, from: Address, remoteAddress: string | undefined): boolean {
    const minute = Math.floor(clock() / 60_000)
    if (minute !== asked.minute) {
      Object.assign(asked, { minute, all: 0, strangers: 0 })
      asked.each.clear()
    }
    const half = partOf(perMinute, 2)
    if (asked.all >= perMinute || (isStranger && asked.strangers >= half)) return false
    // Keys cost nothing: strangers are known by where they ask from only.
    const name = isStranger ? remoteAddress && networkOf(remoteAddress) : from
    if (name) {
      const before = asked.each.get(name) ?? 0
      if (before >= (isStranger ? partOf(perMinute, 20) : half)) return false
      asked.each.set(name, before + 1)
    }
    asked.all += 1
    if (isStranger) asked.strangers += 1
    return true
  }

  return {
    async ask({ from, nonce, value }, { isSigned, remoteAddress }) {
      const payer = await payers.get(from)
      const seconds = BigInt(Math.floor(clock() / 1_000))
      if (!mayHave(payer, [value, ...atWork(payer, seconds, nonce)])) return refuseShare(payer)
      return (
        (await refuseStranger(payer)) ??
        (mayAsk(!isSigned || isNew(payer), from, remoteAddress) ? undefined : busy('There are', 60))
      )
    },
    async enter(charge, balance) {
      const { from, nonce, value } = charge
      const isStranger = isNew(await payers.get(from))
      if (working.all >= atOnce || (isStranger && working.strangers >= partOf(atOnce, 2)))
        return busy('There are', 5)
      working.all += 1
      if (isStranger) working.strangers += 1
      let isOver = false
      const leave = () => {
        if (isOver) return
        isOver = true
        working.all -= 1
        if (isStranger) working.strangers -= 1
      }
      const refusal = await payers
        .change<RefusedCharge | 'poor' | undefined>(from, (payer, seconds) => {
          const amounts = [value, ...atWork(payer, seconds, nonce)]
          if (!mayHave(payer, amounts)) return { result: refuseShare(payer) }
          if (balance < sumOf(amounts)) return { result: 'poor' }
          return { result: undefined, payer: withWork(payer, charge, seconds) }
        })
        .catch((error) => {
          leave()
          throw error
        })
      if (!refusal) return { ok: true, leave }
      leave()
      return refusal
    },
    enterAgain: (charge) =>
      payers.change(charge.from, (payer, seconds) =>
        mayHave(payer, [charge.value, ...atWork(payer, seconds, charge.nonce)])
          ? { result: true, payer: withWork(payer, charge, seconds) }
          : { result: false },
      ),
    async end(charge, end) {
      const isFirst = await payers.end(charge, end)
      if (isFirst && end === 'failed')
        await notebook.write(failuresKey(), (text) => ({
          result: undefined,
          write: String(Number(text ?? 0) + 1),
        }))
      return isFirst
    },
    async prune() {
      const today = failuresKey()
      for await (const { key } of notebook.read(failuresPrefix))
        if (key < today) await notebook.write(key, () => ({ result: undefined, write: null }))
      await payers.prune(dayOf(clock() - rememberedDays * dayMs))
    },
  }
}

/** Who has paid once doesn't stay known for that. */
const isNew = ({ settled, failed }: Payer) => settled <= failed

/** A part of a limit, but never nothing. */
const partOf = (limit: number, parts: number) => Math.max(1, Math.floor(limit / parts))

const sumOf = (amounts: readonly bigint[]) => amounts.reduce((sum, amount) => sum + amount, 0n)

function busy(who: string, seconds: number): RefusedCharge {
  const message = `${who} too many charges at the moment: pay from a channel, or later.`
  return refuseCharge('rate_limited', message, undefined, seconds)
}
