/** What probers found, added up by the hour. */
import type { Database } from '../store/Database.ts'

export type ProbeReport = {
  providerId: string
  /** The prober's address, lower case. */
  prober: string
  /** Unix milliseconds. */
  at: number
  /** Whether it answered at all, and whether as it should. */
  reached: boolean
  correct: boolean
  /** Of its first answer; `null` where none came. */
  latencyMs: number | null
}

export const hourMs = 3_600_000
/** Of an hour: a prober that asks more often is not heard more. */
const mostKept = 60
const longestLatencyMs = 600_000

export const hourOf = (at: number) => Math.floor(at / hourMs) * hourMs

/** The letter of an outcome. */
export const letterOf = ({ reached, correct }: Pick<ProbeReport, 'reached' | 'correct'>) =>
  correct ? 'c' : reached ? 'r' : 'n'

type Row = {
  hour: number
  probes: number
  reached: number
  correct: number
  latencies: string
  outcomes: string
  reported_at: number
}

/**
 * What became of a report. `late`: it is not later than this prober's latest of this provider. `unlisted`: its provider is not on the list,
 * or went off it while it was asked. Neither is counted.
 */
export type Recorded = 'counted' | 'late' | 'unlisted'

export async function recordProbe(database: Database, report: ProbeReport): Promise<Recorded> {
  const { providerId, prober, at } = report
  const reached = report.reached || report.correct
  const hour = hourOf(at)
  return database.transaction(async (sql) => {
    if (!(await sql.one(`SELECT id FROM providers WHERE id = $1 AND state = 'approved'`, providerId)))
      return 'unlisted'
    const latest = await sql.one<Row>(
      `SELECT hour, probes, reached, correct, latencies, outcomes, reported_at FROM probe_hours
       WHERE provider_id = $1 AND prober = $2 ORDER BY hour DESC LIMIT 1`,
      ...[providerId, prober],
    )
    if (latest && latest.reported_at >= at) return 'late'
    const before = latest?.hour === hour ? latest : undefined
    const latencies: number[] = before ? JSON.parse(before.latencies) : []
    if (reached && report.latencyMs !== null) {
      latencies.push(Math.round(Math.min(longestLatencyMs, Math.max(0, report.latencyMs))))
    }
    await sql.run(
      `INSERT INTO probe_hours (provider_id, prober, hour, probes, reached, correct, latencies, outcomes, reported_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
       ON CONFLICT (provider_id, prober, hour) DO UPDATE SET probes = $4, reached = $5, correct = $6, latencies = $7,
         outcomes = $8, reported_at = $9`,
      ...[providerId, prober, hour],
      (before?.probes ?? 0) + 1,
      (before?.reached ?? 0) + Number(reached),
      (before?.correct ?? 0) + Number(report.correct),
      JSON.stringify(latencies.slice(-mostKept)),
      ((before?.outcomes ?? '') + letterOf(report)).slice(-mostKept),
      at,
    )
    return 'counted'
  })
}

const keptMs = 31 * 24 * hourMs
const changesKeptMs = 400 * 24 * hourMs

/** Forgets what no page shows any more. */
export async function pruneProbes(database: Database, now: number): Promise<void> {
  await database.run('DELETE FROM probe_hours WHERE hour < $1', hourOf(now - keptMs))
  await database.run('DELETE FROM status_changes WHERE at < $1', now - changesKeptMs)
}
