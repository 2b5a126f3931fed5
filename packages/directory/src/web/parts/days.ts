/** Hours of probes put together into the days that charts show. */
import type { HourData } from '../PageData.ts'

export const hourMs = 3_600_000
export const dayMs = 86_400_000

export type Span = {
  /** Where it begins; Unix milliseconds. */
  at: number
  probes: number
  correct: number
  medianMs: number | null
  p95Ms: number | null
}

/** The last so many hours up to now, those without a probe, too. */
export function lastHours(hours: readonly HourData[], now: number, count: number): Span[] {
  return spans(hours, now, count, hourMs)
}

/** The last so many days (UTC) up to today. */
export function lastDays(hours: readonly HourData[], now: number, count: number): Span[] {
  return spans(hours, now, count, dayMs)
}

function spans(hours: readonly HourData[], now: number, count: number, size: number): Span[] {
  const last = Math.floor(now / size) * size
  const groups = new Map<number, HourData[]>()
  for (const hour of hours) {
    const at = Math.floor(hour.hour / size) * size
    groups.set(at, [...(groups.get(at) ?? []), hour])
  }
  return Array.from({ length: count }, (_, index) => {
    const at = last - (count - 1 - index) * size
    const within = groups.get(at) ?? []
    return {
      at,
      probes: within.reduce((sum, { probes }) => sum + probes, 0),
      correct: within.reduce((sum, { correct }) => sum + correct, 0),
      medianMs: middle(within.map(({ medianMs }) => medianMs)),
      p95Ms: middle(within.map(({ p95Ms }) => p95Ms)),
    }
  })
}

/** Of a day the middle hour's: what one bad hour was like is in that hour. */
function middle(values: readonly (number | null)[]): number | null {
  const sorted = values.filter((value) => value !== null).sort((one, other) => one - other)
  return sorted[sorted.length >> 1] ?? null
}
