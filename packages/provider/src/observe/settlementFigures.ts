/** What is to be watched of the settlement, whichever process does it: read from the ledger and its notebook. */
import { Counter, Gauge, type Registry } from 'prom-client'
import type { Address, PublicClient } from 'viem'
import { type AlarmCode, alarms } from '../ledger/alarms.ts'
import type { Ledger } from '../ledger/Ledger.ts'
import type { ChargeBook } from '../settle/ChargeBook.ts'
import { isOverdue } from '../settle/plan.ts'
import type { Transactions } from '../settle/Transactions.ts'
import * as Terms from '../verify/Terms.ts'
import { remembered } from './remembered.ts'

export type SettlementFigures = {
  /** Charged, not claimed, and so close to the expiry that it should have been claimed before. Base units; throws never. */
  atRisk(): Promise<bigint | undefined>
  /** How many alarms there are, by code. */
  alarms(): Promise<ReadonlyMap<AlarmCode, number> | undefined>
  /** Transactions that aren't final. */
  unsettled(): Promise<number | undefined>
  /** Wei, by transactions that this process has booked. */
  gasSpent(): bigint
  /** Wei, by the transfers of charges that this process has booked. */
  chargeGasSpent(): bigint
  /** Wei that the account has for gas. Undefined while no node says. */
  gasBalance(): Promise<bigint | undefined>
}

const keptMs = 30_000
/** How long figures wait for a node. */
const patienceMs = 3_000

export function createSettlementFigures(options: {
  ledger: Pick<Ledger, 'channels' | 'notebook'>
  transactions: Pick<Transactions, 'unsettled' | 'gasSpent'>
  charges: Pick<ChargeBook, 'gasSpent'>
  client: Pick<PublicClient, 'getBalance'>
  provider: Address
  /** Base units: less than this is not worth a claim. */
  minPayout: bigint
  /** Unix seconds. */
  now: () => bigint
}): SettlementFigures {
  const { ledger, transactions, charges, client, provider, minPayout, now } = options

  async function findAtRisk(): Promise<bigint> {
    let atRisk = 0n
    const unclaimedOver = minPayout > 0n ? minPayout - 1n : 0n
    const due = { unclaimed: 2n ** 62n, expiry: now() + Terms.longestMargin }
    for await (const state of ledger.channels({ unclaimedOver, due })) {
      if (isOverdue(state, now())) atRisk += state.charged - state.claimed
    }
    return atRisk
  }

  async function countAlarms(): Promise<Map<AlarmCode, number>> {
    const counts = new Map<AlarmCode, number>()
    for await (const { code } of alarms(ledger.notebook)) counts.set(code, (counts.get(code) ?? 0) + 1)
    return counts
  }

  const unknown = () => undefined

  async function askBalance(): Promise<bigint | undefined> {
    let impatience: ReturnType<typeof setTimeout> | undefined
    const waited = new Promise<undefined>((resolve) => {
      impatience = setTimeout(() => resolve(undefined), patienceMs)
    })
    const balance = client.getBalance({ address: provider }).catch(unknown)
    return Promise.race([balance, waited]).finally(() => clearTimeout(impatience))
  }

  return {
    atRisk: remembered(keptMs, () => findAtRisk().catch(unknown)),
    alarms: remembered(keptMs, () => countAlarms().catch(unknown)),
    unsettled: () => transactions.unsettled().then(({ length }) => length, unknown),
    gasSpent: () => transactions.gasSpent,
    chargeGasSpent: () => charges.gasSpent,
    gasBalance: remembered(keptMs, askBalance),
  }
}

const alarmCodes: readonly AlarmCode[] = [
  'unknown_claim',
  'channel_vanished',
  'claim_vanished',
  'charge_vanished',
  'closed_owing',
  'overclaimed',
]

/** Undefined figures become NaN: there is no saying. */
export function registerSettlement(registers: Registry[], figures: () => SettlementFigures): void {
  new Gauge({
    name: 'drain_at_risk_base_units',
    help: 'Charged and not claimed on channels that are close to their expiry, in base units of USDC.',
    registers,
    async collect() {
      this.set(Number((await figures().atRisk()) ?? Number.NaN))
    },
  })
  new Gauge({
    name: 'drain_settlement_alarms',
    help: 'What somebody has to look at: drain-provider status tells.',
    labelNames: ['code'],
    registers,
    async collect() {
      this.reset()
      const counts = await figures().alarms()
      for (const code of alarmCodes) this.set({ code }, counts ? (counts.get(code) ?? 0) : Number.NaN)
    },
  })
  new Gauge({
    name: 'drain_transactions_unsettled',
    help: 'Transactions that were written down and are not final.',
    registers,
    async collect() {
      this.set((await figures().unsettled()) ?? Number.NaN)
    },
  })
  new Counter({
    name: 'drain_gas_spent_wei_total',
    help: 'Paid for gas by transactions that this process has booked, in wei.',
    registers,
    collect() {
      this.reset()
      this.inc(Number(figures().gasSpent()))
    },
  })
  new Counter({
    name: 'drain_charge_gas_wei_total',
    help: 'Of that, paid by the transfers of charges.',
    registers,
    collect() {
      this.reset()
      this.inc(Number(figures().chargeGasSpent()))
    },
  })
  new Gauge({
    name: 'drain_gas_balance_wei',
    help: "What the provider's account has for gas, in wei. Asked of a node at most every half minute.",
    registers,
    async collect() {
      this.set(Number((await figures().gasBalance()) ?? Number.NaN))
    },
  })
}
