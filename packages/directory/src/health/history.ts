/** A provider's last 30 days, for charts. */
import type { Status } from '../Provider.ts'
import type { Sql } from '../store/Database.ts'
import { groupBy } from './groupBy.ts'
import { median, medianKnown, percentile } from './median.ts'
import { slots } from './readProbers.ts'
import { hourMs, hourOf } from './recordProbe.ts'

/** Times are Unix milliseconds, latencies milliseconds. */
export type History = {
  /** Those with probes, the oldest first. */
  hours: readonly HistoryHour[]
  /** The latest first, at most 100. */
  changes: readonly { at: number; status: Status; reason: string }[]
}

export type HistoryHour = {
  hour: number
  probes: number
  reached: number
  correct: number
  medianMs: number | null
  p95Ms: number | null
}

type Row = { hour: number; probes: number; reached: number; correct: number; latencies: string }

const days = 30
const mostChanges = 100

/** Of several probers, the counts of an hour are those of the one in the middle, the latencies medians of theirs. */
export async function readHistory(
  sql: Sql,
  providerId: string,
  { now, probers }: { now: number; probers: readonly string[] },
): Promise<History> {
  const rows =
    probers.length === 0
      ? []
      : await sql.all<Row>(
          `SELECT hour, probes, reached, correct, latencies FROM probe_hours
           WHERE provider_id = $1 AND hour > $2 AND prober IN (${slots(probers.length, 2)}) ORDER BY hour`,
          ...[providerId, hourOf(now - days * 24 * hourMs), ...probers],
        )
  const byHour = groupBy(rows, ({ hour }) => hour)
  const changes = await sql.all<History['changes'][number]>(
    'SELECT at, status, reason FROM status_changes WHERE provider_id = $1 ORDER BY at DESC LIMIT $2',
    ...[providerId, mostChanges],
  )
  return {
    hours: [...byHour].map(([hour, found]) => combine(hour, found)),
    changes: changes.map(({ at, status, reason }) => ({ at, status, reason })),
  }
}

function combine(hour: number, rows: readonly Row[]): HistoryHour {
  const byShare = [...rows].sort((one, other) => one.correct / one.probes - other.correct / other.probes)
  const { probes, reached, correct } = byShare[Math.floor((byShare.length - 1) / 2)] as Row
  const latencies = rows.map((row) => JSON.parse(row.latencies) as number[])
  return {
    ...{ hour, probes, reached, correct },
    medianMs: medianKnown(latencies.map(median)),
    p95Ms: medianKnown(latencies.map((ofOne) => percentile(ofOne, 0.95))),
  }
}
