/**
 * What a provider counts, for Prometheus. A registry per paywall, nothing global. Labels have few values that are known in
 * advance: never a channel, a consumer or a path.
 *
 * Amounts become floating point here, as everything in Prometheus does: for a graph, never for the books.
 */
import { Counter, Gauge, Registry } from 'prom-client'
import type { LedgerTotals } from '../ledger/Ledger.ts'
import { buildVersion } from './buildVersion.ts'
import { createDurations } from './Durations.ts'
import { remembered } from './remembered.ts'
import type { SettlementFigures } from './settlementFigures.ts'
import { registerSettlement } from './settlementGauges.ts'

/** How a paid request began: admitted, or the code it was refused with. */
export type RequestOutcome = string

export type ClaimOutcome = 'paid' | 'nothing' | 'failed'

/**
 * What became of a charge that was taken. `released`: the work came to nothing, and the payer keeps its money. `pending`: the transfer
 * wasn't mined in time; it may be settled later. `failed`: worked for, and not to be had.
 */
export type ChargeOutcome = 'settled' | 'released' | 'pending' | 'failed'

export type Metrics = {
  requests(outcome: RequestOutcome): void
  /** Base units. */
  charged(amount: bigint): void
  /** Seconds from header to verdict. */
  verified(seconds: number): void
  /** `succeeded`: not whether the step was refused, but whether the store did its part. */
  ledgerStep(step: string, seconds: number, succeeded: boolean): void
  lookups(result: string): void
  /** `amount`: paid out, in base units. */
  claims(outcome: ClaimOutcome, amount?: bigint): void
  relays(outcome: string): void
  /** `amount`: of what was settled, in base units. */
  charges(outcome: ChargeOutcome, amount?: bigint): void
  /** Prometheus' text format, and its content type. */
  render(): Promise<{ contentType: string; text: string }>
}

/** Seconds. An SSD's fsync lies around the middle. */
const ledgerBuckets = [0.0005, 0.002, 0.01, 0.05, 0.25, 1]
const verificationBuckets = [0.0001, 0.0005, 0.002, 0.01]

const totalsForMs = 5_000

export function createMetrics(source: {
  totals: () => Promise<LedgerTotals>
  /** Name of the library that verifies signatures, once it is known. */
  secp256k1: () => string
  chainId: number
  /** Payments whose work goes on; those of streams are deferred. */
  running: () => Iterable<{ isDeferred: boolean }>
  /** Streams that wait for a voucher. */
  paused: () => number
  settlement: () => SettlementFigures
}): Metrics {
  // Undefined when the ledger can't tell: the other figures are wanted most then.
  const latest = remembered(totalsForMs, () => source.totals().catch(() => undefined))
  const registry = new Registry()
  const registers = [registry]
  /** Counted by hand: every request passes here, and the library looks up its labels anew each time. */
  const begun = new Map<RequestOutcome, number>()
  new Counter({
    name: 'drain_requests_total',
    help: 'Paid requests, by how they began: admitted, or the code of their refusal.',
    labelNames: ['outcome'],
    registers,
    collect() {
      this.reset()
      for (const [outcome, count] of begun) this.inc({ outcome }, count)
    },
  })
  let charged = 0
  new Counter({
    name: 'drain_charged_base_units_total',
    help: 'Charged by this process, in base units of USDC.',
    registers,
    collect() {
      this.reset()
      this.inc(charged)
    },
  })
  new Gauge({
    name: 'drain_reservations',
    help: 'Paid requests of this process that run now.',
    registers,
    collect() {
      this.set([...source.running()].length)
    },
  })
  const verification = createDurations({
    name: 'drain_verification_seconds',
    help: 'Verification of a voucher without the chain.',
    buckets: verificationBuckets,
  })
  const ledgerSteps = createDurations({
    name: 'drain_ledger_step_seconds',
    help: 'Durable steps of the ledger.',
    label: 'step',
    buckets: ledgerBuckets,
  })
  const ledgerFailures = new Counter({
    name: 'drain_ledger_failures_total',
    help: 'Steps of the ledger that failed because of its store.',
    labelNames: ['step'],
    registers,
  })
  new Gauge({
    name: 'drain_streams',
    help: 'Metered streams of this process: open ones, and those among them that wait for a voucher.',
    labelNames: ['state'],
    registers,
    collect() {
      this.set({ state: 'open' }, [...source.running()].filter(({ isDeferred }) => isDeferred).length)
      this.set({ state: 'paused' }, source.paused())
    },
  })
  const lookups = new Counter({
    name: 'drain_channel_lookups_total',
    help: 'Channels looked up outside of the ledger, by what was found.',
    labelNames: ['result'],
    registers,
  })
  const claims = new Counter({
    name: 'drain_claims_total',
    help: 'Claims, and ends of channels that claim, by what this process has booked as their outcome.',
    labelNames: ['outcome'],
    registers,
  })
  const claimed = new Counter({
    name: 'drain_claimed_base_units_total',
    help: 'Paid out by claims and ends of channels that this process has booked, in base units of USDC.',
    registers,
  })
  const relays = new Counter({
    name: 'drain_relays_total',
    help: 'Gasless opens that were asked for, by outcome.',
    labelNames: ['outcome'],
    registers,
  })
  const charges = new Counter({
    name: 'drain_charges_total',
    help: 'Charges without a channel that were taken, by what became of them.',
    labelNames: ['outcome'],
    registers,
  })
  const chargedWithout = new Counter({
    name: 'drain_charges_base_units_total',
    help: 'Paid by charges without a channel that this process settled, in base units of USDC.',
    registers,
  })
  new Gauge({
    name: 'drain_channels',
    help: 'Channels in the ledger, by status.',
    labelNames: ['status'],
    registers,
    async collect() {
      const totals = await latest()
      for (const status of ['open', 'closing', 'closed'] as const) {
        this.set({ status }, totals?.[status] ?? Number.NaN)
      }
    },
  })
  new Gauge({
    name: 'drain_build_info',
    help: 'Always 1; what runs is in the labels.',
    labelNames: ['version', 'secp256k1', 'chain_id'],
    registers,
    collect() {
      this.reset()
      this.set({ version: buildVersion, secp256k1: source.secp256k1(), chain_id: source.chainId }, 1)
    },
  })

  registerSettlement(registers, { figures: source.settlement, totals: latest })

  for (const outcome of ['paid', 'nothing', 'failed']) claims.inc({ outcome }, 0)
  for (const outcome of ['settled', 'released', 'pending', 'failed']) charges.inc({ outcome }, 0)

  return {
    requests: (outcome) => void begun.set(outcome, (begun.get(outcome) ?? 0) + 1),
    charged(amount) {
      charged += Number(amount)
    },
    verified: (seconds) => verification.observe(seconds),
    ledgerStep(step, seconds, succeeded) {
      ledgerSteps.observe(seconds, step)
      if (!succeeded) ledgerFailures.inc({ step })
    },
    lookups: (result) => lookups.inc({ result }),
    claims(outcome, amount = 0n) {
      claims.inc({ outcome })
      claimed.inc(Number(amount))
    },
    relays: (outcome) => relays.inc({ outcome }),
    charges(outcome, amount = 0n) {
      charges.inc({ outcome })
      chargedWithout.inc(Number(amount))
    },
    async render() {
      const text = [await registry.metrics(), verification.text(), ledgerSteps.text()].join('\n')
      return { contentType: registry.contentType, text }
    },
  }
}
