import { Counter, Gauge, type Registry } from 'prom-client'
import type { AlarmCode } from '../ledger/alarms.ts'
import type { LedgerTotals } from '../ledger/Ledger.ts'
import type { SettlementFigures } from './settlementFigures.ts'

const alarmCodes: readonly AlarmCode[] = [
  'unknown_claim',
  'channel_vanished',
  'claim_vanished',
  'charge_vanished',
  'closed_owing',
  'overclaimed',
]
const reasons = ['expiring', 'closing', 'threshold'] as const

/** The settlement's figures as metrics. What can't be read becomes NaN: there is no saying. */
export function registerSettlement(
  registers: Registry[],
  source: { figures: () => SettlementFigures; totals: () => Promise<LedgerTotals | undefined> },
): void {
  const { figures, totals } = source
  const outlook = () => figures().outlook()

  function gauge(
    about: { name: string; help: string },
    find: () => Promise<bigint | number | undefined>,
  ): void {
    new Gauge({
      ...{ ...about, registers },
      async collect() {
        this.set(Number((await find()) ?? Number.NaN))
      },
    })
  }

  function counter(about: { name: string; help: string }, find: () => bigint): void {
    new Counter({
      ...{ ...about, registers },
      collect() {
        this.reset()
        this.inc(Number(find()))
      },
    })
  }

  function gaugeBy<label extends string>(
    about: { name: string; help: string },
    [name, values]: readonly [string, readonly label[]],
    find: () => Promise<((value: label) => number) | undefined>,
  ): void {
    new Gauge({
      ...{ ...about, labelNames: [name], registers },
      async collect() {
        const found = await find()
        for (const value of values) this.set({ [name]: value }, found?.(value) ?? Number.NaN)
      },
    })
  }

  gauge(
    { name: 'drain_ledger_earned_base_units', help: 'Charged on all channels, in base units of USDC.' },
    async () => (await totals())?.charged,
  )
  gauge(
    { name: 'drain_ledger_claimed_base_units', help: 'Paid out on all channels, in base units of USDC.' },
    async () => (await totals())?.claimed,
  )
  gauge(
    {
      name: 'drain_unclaimed_base_units',
      help: 'Charged and not claimed yet, in base units of USDC.',
    },
    async () => {
      const found = await totals()
      return found && found.charged - found.claimed + found.unused
    },
  )
  gauge(
    {
      name: 'drain_claiming_base_units',
      help: "Of what is unclaimed, in transactions that aren't final, in base units of USDC.",
    },
    async () => (await outlook())?.claiming,
  )
  gauge(
    {
      name: 'drain_at_risk_base_units',
      help: 'Charged and not claimed on channels that are close to their expiry, in base units of USDC.',
    },
    async () => (await outlook())?.atRisk,
  )
  gauge(
    {
      name: 'drain_dust_base_units',
      help: 'Charged on channels that are about to end, and not worth its gas, in base units of USDC.',
    },
    async () => (await outlook())?.dust,
  )
  gaugeBy(
    { name: 'drain_channels_due', help: 'Channels that are claimed next, by why.' },
    ['reason', reasons],
    async () => {
      const due = (await outlook())?.due
      return due && ((reason) => due[reason])
    },
  )
  gaugeBy(
    { name: 'drain_settlement_alarms', help: 'What somebody has to look at: drain-provider status tells.' },
    ['code', alarmCodes],
    async () => {
      const counts = await figures().alarms()
      return counts && ((code) => counts.get(code) ?? 0)
    },
  )
  gauge(
    {
      name: 'drain_transactions_unsettled',
      help: 'Transactions that were written down and are not final.',
    },
    () => figures().unsettled(),
  )
  gauge(
    { name: 'drain_blocks_behind', help: 'Blocks that nobody has read the events of, by the cursor.' },
    () => figures().behind(),
  )
  counter(
    {
      name: 'drain_gas_spent_wei_total',
      help: 'Paid for gas by transactions that this process has booked, in wei.',
    },
    () => figures().gasSpent(),
  )
  counter({ name: 'drain_charge_gas_wei_total', help: 'Of that, paid by the transfers of charges.' }, () =>
    figures().chargeGasSpent(),
  )
  gauge(
    { name: 'drain_ledger_gas_wei', help: 'Paid for gas by all transactions of the ledger, in wei.' },
    () => figures().ledgerGasSpent(),
  )
  gauge(
    {
      name: 'drain_gas_balance_wei',
      help: "What the provider's account has for gas, in wei. Asked of a node at most every half minute.",
    },
    () => figures().gasBalance(),
  )
}
