/** The score, from what probes and reports say. */
import { median } from '../health/median.ts'
import { medianOf, type ProberSums } from '../health/readProbers.ts'
import type { ScoreParts } from '../Provider.ts'
import { bestLatencyMs, floor, priorMoney, priorProbes, weights, worstLatencyMs } from './formula.ts'

export type ScoreInput = {
  /** What each prober found. Each part is the median of theirs. */
  probers: readonly Pick<ProberSums, 'week' | 'day'>[]
  /** Money behind reports of success and of failure that count, in base units. */
  praised: bigint
  blamed: bigint
}

/** The text at `/docs/score` says how; see {@link scoreText}. */
export function computeScore({ probers, praised, blamed }: ScoreInput): {
  score: number
  scoreParts: ScoreParts
} {
  const reachability = middle(probers.map(({ week }) => pulled(week.reached, week.probes)))
  const correctness = middle(probers.map(({ week }) => pulled(week.correct, week.reached)))
  const latency = middle(probers.map(latencyPart))
  const feedback = feedbackPart(praised, blamed)
  const probes =
    weights.reachability * reachability + weights.correctness * correctness + weights.latency * latency
  return {
    score: (probes * (floor + feedback)) / (floor + 1),
    scoreParts: {
      ...{ reachability, correctness, latency, feedback },
      praised: praised.toString(),
      blamed: blamed.toString(),
    },
  }
}

/** A share of few is pulled toward one half. */
const pulled = (good: number, all: number) => (good + priorProbes / 2) / (all + priorProbes)

const middle = (shares: readonly number[]) => median(shares) ?? 0.5

function latencyPart(prober: Pick<ProberSums, 'week' | 'day'>): number {
  const ms = medianOf(prober)
  if (ms === null) return pulled(0, prober.week.probes)
  const share = 1 - Math.log(ms / bestLatencyMs) / Math.log(worstLatencyMs / bestLatencyMs)
  return pulled(Math.min(1, Math.max(0, share)) * prober.week.reached, prober.week.reached)
}

function feedbackPart(praised: bigint, blamed: bigint): number {
  return Number(priorMoney + 2n * praised) / Number(2n * (priorMoney + praised + blamed))
}
