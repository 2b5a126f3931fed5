/** What each prober has found of a provider lately. */
import type { Sql } from '../store/Database.ts'
import { groupBy } from './groupBy.ts'
import { median } from './median.ts'
import { hourMs, hourOf } from './recordProbe.ts'

export type Sums = { probes: number; reached: number; correct: number }

/** Of one prober, about one provider. Times are Unix milliseconds, latencies milliseconds. */
export type ProberSums = {
  prober: string
  day: Sums & { latencies: readonly number[] }
  week: Sums
  month: Sums
  /** Letters of its reports of a day, oldest first: `c` correct, `r` reached, `n` not reached. */
  outcomes: string
  /** Of its latest report, and what that one measured. */
  reportedAt: number
  latencyMs: number | null
  /** The first hour of the month that it has probed, and the last with a correct answer. */
  firstHour: number
  lastCorrectHour: number | null
}

type Row = Record<string, string | number | null>

/** Of providers, those of its probers that are believed and have reported within a day. */
export async function readProbers(
  sql: Sql,
  { ids, probers, now }: { ids: readonly string[]; probers: readonly string[]; now: number },
): Promise<Map<string, ProberSums[]>> {
  const found = new Map<string, ProberSums[]>()
  if (ids.length === 0 || probers.length === 0) return found
  const since = (days: number) => hourOf(now - days * 24 * hourMs) + hourMs
  const wanted = `provider_id IN (${slots(ids.length, 0)}) AND prober IN (${slots(probers.length, ids.length)})`
  const names = [...ids, ...probers]
  const [first, second] = [`$${names.length + 1}`, `$${names.length + 2}`]
  const hours = await sql.all<Row>(
    `SELECT provider_id, prober, probes, reached, correct, latencies, outcomes, reported_at FROM probe_hours
     WHERE ${wanted} AND hour >= ${first} ORDER BY hour`,
    ...names,
    since(1),
  )
  const months = await sql.all<Row>(
    `SELECT provider_id, prober, SUM(probes) AS probes, SUM(reached) AS reached, SUM(correct) AS correct,
       SUM(CASE WHEN hour >= ${second} THEN probes ELSE 0 END) AS week_probes,
       SUM(CASE WHEN hour >= ${second} THEN reached ELSE 0 END) AS week_reached,
       SUM(CASE WHEN hour >= ${second} THEN correct ELSE 0 END) AS week_correct,
       MIN(hour) AS first_hour, MAX(CASE WHEN correct > 0 THEN hour END) AS last_correct
     FROM probe_hours WHERE ${wanted} AND hour >= ${first} GROUP BY provider_id, prober`,
    ...names,
    since(30),
    since(7),
  )
  const days = groupBy(hours, keyOf)
  for (const row of months) {
    const day = days.get(keyOf(row))
    if (!day) continue
    const id = row.provider_id as string
    found.set(id, [...(found.get(id) ?? []), toSums(row, day)])
  }
  return found
}

const keyOf = (row: Row) => `${row.prober} ${row.provider_id}`

/** `$3, $4, …` */
export const slots = (count: number, after: number) =>
  Array.from({ length: count }, (_, index) => `$${after + index + 1}`).join(', ')

function toSums(month: Row, day: readonly Row[]): ProberSums {
  const number = (row: Row, name: string) => Number(row[name])
  const sum = (name: string) => day.reduce((total, row) => total + number(row, name), 0)
  const latencies = day.flatMap((row) => JSON.parse(row.latencies as string) as number[])
  const outcomes = day.map((row) => row.outcomes).join('')
  return {
    prober: month.prober as string,
    day: { probes: sum('probes'), reached: sum('reached'), correct: sum('correct'), latencies },
    week: {
      probes: number(month, 'week_probes'),
      reached: number(month, 'week_reached'),
      correct: number(month, 'week_correct'),
    },
    month: {
      probes: number(month, 'probes'),
      reached: number(month, 'reached'),
      correct: number(month, 'correct'),
    },
    outcomes,
    reportedAt: Math.max(...day.map((row) => number(row, 'reported_at'))),
    latencyMs: outcomes.endsWith('n') ? null : (latencies.at(-1) ?? null),
    firstHour: number(month, 'first_hour'),
    lastCorrectHour: month.last_correct === null ? null : number(month, 'last_correct'),
  }
}

/** The middle of a day's latencies. */
export const medianOf = ({ day }: Pick<ProberSums, 'day'>) => median(day.latencies)
