/** A provider's last 30 days, for charts. */
import type { Sql } from '../store/Database.ts'
import type { HistoryData, HourData } from '../web/PageData.ts'
import { groupBy } from './groupBy.ts'
import { median, medianKnown, percentile } from './median.ts'
import { slots } from './readProbers.ts'
import { hourMs, hourOf } from './recordProbe.ts'

type Row = { hour: number; probes: number; reached: number; correct: number; latencies: string }

const days = 30
const mostChanges = 100

/** Of several probers, the counts of an hour are those of the one in the middle, the latencies medians of theirs. */
export async function readHistory(
  sql: Sql,
  providerId: string,
  { now, probers }: { now: number; probers: readonly string[] },
): Promise<HistoryData> {
  const rows =
    probers.length === 0
      ? []
      : await sql.all<Row>(
          `SELECT hour, probes, reached, correct, latencies FROM probe_hours
           WHERE provider_id = $1 AND hour > $2 AND prober IN (${slots(probers.length, 2)}) ORDER BY hour`,
          ...[providerId, hourOf(now - days * 24 * hourMs), ...probers],
        )
  const byHour = groupBy(rows, ({ hour }) => hour)
  const changes = await sql.all<HistoryData['changes'][number]>(
    'SELECT at, status, reason FROM status_changes WHERE provider_id = $1 ORDER BY at DESC LIMIT $2',
    ...[providerId, mostChanges],
  )
  return {
    hours: [...byHour].map(([hour, found]) => combine(hour, found)),
    changes: changes.map(({ at, status, reason }) => ({ at, status, reason })),
  }
}

function combine(hour: number, rows: readonly Row[]): HourData {
  const byShare = [...rows].sort((one, other) => one.correct / one.probes - other.correct / other.probes)
  const { probes, reached, correct } = byShare[Math.floor((byShare.length - 1) / 2)] as Row
  const latencies = rows.map((row) => JSON.parse(row.latencies) as number[])
  return {
    ...{ hour, probes, reached, correct },
    medianMs: medianKnown(latencies.map(median)),
    p95Ms: medianKnown(latencies.map((ofOne) => percentile(ofOne, 0.95))),
  }
}
