/**
 * What each payer has at work, and how its charges have ended: durable and in one step, so that what many processes and requests
 * let in at once is bounded by the same share.
 */
import type { Notebook } from '@drain/provider'
import type { Address, Hex } from 'viem'
import type { Authorization } from '../authorization.ts'

export type Payer = {
  /** Charges that are worked for or on their way: base units, and the authorization's end (Unix seconds). */
  readonly work: Readonly<Record<Hex, { readonly value: string; readonly until: string }>>
  /** Charges that were paid. */
  readonly settled: number
  /** What they came to, less what charges came to that failed: base units. */
  readonly paidAmount: string
  /** Charges that were worked for and could not be settled. */
  readonly failed: number
  /** The same on `day` (UTC). */
  readonly failedThen: number
  readonly day: string
}

/** How a charge has ended; `released`: nothing was worked for. */
export type ChargeEnd = 'settled' | 'failed' | 'released'

export type ChargePayers = {
  get(from: Address): Promise<Payer>
  /** Changes a payer in one step, if `decide` returns what it becomes beside its result. */
  change<result>(
    from: Address,
    decide: (payer: Payer, seconds: bigint) => { result: result; payer?: Payer | undefined },
  ): Promise<result>
  /** Writes down how a charge has ended. `false`: that was done before. */
  end(charge: Pick<Authorization, 'from' | 'nonce'>, end: ChargeEnd): Promise<boolean>
  /** Drops payers that nothing was heard of since `day`. */
  prune(day: string): Promise<void>
}

const prefix = 'charge-payer/'
const keyOf = (from: Address) => `${prefix}${from}`.toLowerCase()

/** @param today The day (UTC), such as `2026-01-31`. */
export function createChargePayers(notebook: Notebook, today: () => string): ChargePayers {
  const nobody = (): Payer => ({
    ...{ work: {}, settled: 0, paidAmount: '0', failed: 0, failedThen: 0, day: today() },
  })

  function decode(text: string | undefined): Payer {
    // Older records know of no amount.
    const payer: Payer = text === undefined ? nobody() : { paidAmount: '0', ...JSON.parse(text) }
    const day = today()
    return payer.day === day ? payer : { ...payer, day, failedThen: 0 }
  }

  const change: ChargePayers['change'] = (from, decide) =>
    notebook.write(keyOf(from), (text, now) => {
      const { result, payer } = decide(decode(text), BigInt(Math.floor(now / 1_000)))
      if (!payer) return { result }
      const isNobody = payer.settled === 0 && payer.failed === 0 && Object.keys(payer.work).length === 0
      return { result, write: isNobody ? null : JSON.stringify(payer) }
    })

  return {
    async get(from) {
      const key = keyOf(from)
      for await (const note of notebook.read(key)) if (note.key === key) return decode(note.text)
      return nobody()
    },
    change,
    end: ({ from, nonce }, end) =>
      change(from, (payer) => {
        const { [nonce]: ended, ...work } = payer.work
        if (!ended) return { result: false }
        if (end === 'released') return { result: true, payer: { ...payer, work } }
        const { settled, failed, failedThen } = payer
        const [paid, value] = [BigInt(payer.paidAmount), BigInt(ended.value)]
        const counted =
          end === 'settled'
            ? { settled: settled + 1, paidAmount: String(paid + value) }
            : { failed: failed + 1, failedThen: failedThen + 1, paidAmount: String(paid - value) }
        return { result: true, payer: { ...payer, work, ...counted } }
      }),
    async prune(day) {
      for await (const { key } of notebook.read(prefix))
        await notebook.write(key, (text) => {
          const isOld = text !== undefined && (JSON.parse(text) as Payer).day < day
          return isOld ? { result: undefined, write: null } : { result: undefined }
        })
    },
  }
}

/** How long a charge counts as being at work after the end of its authorization, in seconds: work may go on, for nothing then. */
const overtime = 300n

/** The charges of a payer that still hold something, but for one. */
export function atWork({ work }: Payer, seconds: bigint, except?: Hex) {
  return Object.entries(work)
    .filter(([nonce, { until }]) => nonce !== except && BigInt(until) + overtime > seconds)
    .map(([, { value }]) => BigInt(value))
}
