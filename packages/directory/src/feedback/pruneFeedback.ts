import { reportsCountMs } from '../score/formula.ts'
import type { Sql } from '../store/Database.ts'

/** How long a report waits for the chain to show its channel, in milliseconds. */
const waitsMs = 14 * 86_400_000

/** Forgets reports that don't count any more, and those that never came to count. */
export async function pruneFeedback(sql: Sql, now: number): Promise<void> {
  await sql.run('DELETE FROM feedback WHERE shown = 0 AND received_at < $1', now - waitsMs)
  await sql.run('DELETE FROM feedback WHERE received_at < $1', now - 2 * reportsCountMs)
}
