/** How a provider is, by what its probers found. */
import type { Health, Status } from '../Provider.ts'
import { median, medianKnown, percentile } from './median.ts'
import { medianOf, type ProberSums, type Sums } from './readProbers.ts'
import { hourMs } from './recordProbe.ts'

/** Slower answers than this, in the middle of a day, are worth a warning. */
const slowMs = 3_000
const dayMs = 24 * hourMs

/** What `health` becomes; as it is where nobody has reported within a day. */
export function healthOf(
  probers: readonly ProberSums[],
  {
    now,
    probeEveryMs,
    before,
    problem,
  }: { now: number; probeEveryMs: number; before: Health; problem?: string },
): Health {
  const current = fresh(probers, probeEveryMs)
  if (current.length === 0) return before
  const medianMs = rounded(medianKnown(current.map(medianOf)))
  const status = statusOf(current, medianMs, now)
  const isWell = status === 'online'
  const isWrong = current.some(({ outcomes }) => !outcomes.endsWith('c'))
  return {
    status,
    lastChecked: Math.max(...current.map(({ reportedAt }) => reportedAt)),
    latencyMs: rounded(medianKnown(current.map(({ latencyMs }) => latencyMs))),
    medianMs,
    p95Ms: rounded(medianKnown(current.map(({ day }) => percentile(day.latencies, 0.95)))),
    uptimeDay: median(current.map(({ day }) => shareOf(day))),
    uptimeMonth: median(current.map(({ month }) => shareOf(month))),
    problem: isWell ? '' : problem || (isWrong && before.problem) || problemOf(current, medianMs),
  }
}

/** Without those that have gone silent while others went on. */
function fresh(probers: readonly ProberSums[], probeEveryMs: number): ProberSums[] {
  const latest = Math.max(...probers.map(({ reportedAt }) => reportedAt))
  const patience = Math.max(hourMs, 3 * probeEveryMs)
  return probers.filter(({ reportedAt }) => reportedAt >= latest - patience)
}

const ranks = ['offline', 'degraded', 'online'] as const satisfies Status[]

/** The median of what each prober says; of two that don't agree, what lies between, or the worse. */
function statusOf(probers: readonly ProberSums[], medianMs: number | null, now: number): Status {
  const middle = median(probers.map((prober) => ranks.indexOf(statusBy(prober, now)))) ?? 0
  const status = ranks[Math.floor(middle)] ?? 'offline'
  return status === 'online' && medianMs !== null && medianMs > slowMs ? 'degraded' : status
}

function statusBy({ outcomes, firstHour, lastCorrectHour }: ProberSums, now: number): (typeof ranks)[number] {
  const [latest, before] = [outcomes.at(-1), outcomes.at(-2)]
  if (latest === 'c') return 'online'
  if (latest === 'n' && before !== 'c' && before !== 'r') return 'offline'
  // An hour's last moment is an hour after its name.
  const lastCorrect = lastCorrectHour === null ? firstHour : lastCorrectHour + hourMs
  return now - lastCorrect >= dayMs ? 'offline' : 'degraded'
}

function problemOf(probers: readonly ProberSums[], medianMs: number | null): string {
  const latest = probers.map(({ outcomes }) => outcomes.at(-1))
  if (latest.includes('n')) return 'It could not be reached.'
  if (latest.includes('r')) return 'It did not answer as it should.'
  return `Half of its answers took longer than ${((medianMs ?? 0) / 1_000).toFixed(1)} s.`
}

const shareOf = ({ correct, probes }: Sums) => (probes === 0 ? 0 : correct / probes)
const rounded = (value: number | null) => (value === null ? null : Math.round(value))
