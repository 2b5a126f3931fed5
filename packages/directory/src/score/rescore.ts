/** Scores from what the database knows, many at a time. */

import { readProbers, slots } from '../health/readProbers.ts'
import { believedProbers } from '../health/updateHealth.ts'
import type { ProviderRecord } from '../Provider.ts'
import type { Rooms } from '../Rooms.ts'
import type { Sql } from '../store/Database.ts'
import { computeScore } from './computeScore.ts'
import { leastChange, reportsCountMs } from './formula.ts'
import { listingOf } from './listingOf.ts'
import { createMarket, type Market, type Payment, type Report, weighFeedback } from './weighFeedback.ts'

/** Computes scores anew and writes those that changed. The ids of these. */
export async function rescore(rooms: Rooms, ids: readonly string[]): Promise<string[]> {
  const { snapshot, database, providers } = rooms
  const now = rooms.now()
  await snapshot.refresh()
  const records = ids.map((id) => snapshot.get(id)).filter((record) => record !== undefined)
  if (records.length === 0) return []
  const market = createMarket(snapshot.listed.map(listingOf), (id) => {
    const record = snapshot.get(id)
    return record && listingOf(record)
  })
  const { reports, payments } = await readReports(database, records, now - reportsCountMs, market.get)
  const weights = weighFeedback({ wanted: records.map(listingOf), market, reports, payments })
  const probers = await readProbers(database, {
    ids: records.map(({ id }) => id),
    probers: believedProbers(rooms),
    now,
  })
  const changed: string[] = []
  for (const { id, score, scoreParts } of records) {
    const weight = weights.get(id) ?? { praised: 0n, blamed: 0n }
    const computed = computeScore({ probers: probers.get(id) ?? [], ...weight })
    const isSame =
      Math.abs(computed.score - score) < leastChange &&
      computed.scoreParts.praised === scoreParts.praised &&
      computed.scoreParts.blamed === scoreParts.blamed
    if (!isSame && (await providers.update(id, () => computed))) changed.push(id)
  }
  return changed
}

type ReportRow = Record<'provider_id' | 'consumer' | 'outcome' | 'payee' | 'paid', string> & {
  chain_id: number
}

/** All reports that count of everybody who has reported on a listing of these owners, and all that these consumers have paid. */
async function readReports(
  sql: Sql,
  records: readonly ProviderRecord[],
  since: number,
  get: Market['get'],
): Promise<{ reports: Report[]; payments: Payment[] }> {
  const owners = [...new Set(records.map(({ owner }) => owner))]
  const consumers = `SELECT consumer FROM feedback WHERE shown = 1 AND hidden = 0
    AND provider_id IN (SELECT id FROM providers WHERE owner IN (${slots(owners.length, 0)}))`
  const reported = await sql.all<ReportRow>(
    `SELECT f.provider_id, f.consumer, f.outcome, p.provider AS payee, f.chain_id, CAST(SUM(p.paid) AS TEXT) AS paid
     FROM feedback f JOIN payments p
       ON p.channel_id = f.channel_id AND p.chain_id = f.chain_id AND p.consumer = f.consumer
     WHERE f.shown = 1 AND f.hidden = 0 AND f.issued_at > $${owners.length + 1} AND p.paid > 0 AND f.consumer IN (${consumers})
     GROUP BY f.provider_id, f.consumer, f.outcome, p.provider, f.chain_id`,
    ...owners,
    since,
  )
  const paid = await sql.all<Record<'consumer' | 'provider' | 'paid', string> & { chain_id: number }>(
    `SELECT consumer, provider, chain_id, CAST(SUM(paid) AS TEXT) AS paid FROM payments
     WHERE paid > 0 AND consumer IN (${consumers}) GROUP BY consumer, provider, chain_id`,
    ...owners,
  )
  return {
    reports: reported
      .filter(({ provider_id, payee, chain_id }) => {
        const listing = get(provider_id)
        return listing?.payee === payee && listing.chainId === Number(chain_id)
      })
      .map(({ provider_id: providerId, consumer, outcome, paid }) => ({
        ...{ providerId, consumer, paid: BigInt(paid) },
        outcome: outcome === 'success' ? ('success' as const) : ('failure' as const),
      })),
    payments: paid.map(({ consumer, provider: payee, chain_id, paid }) => ({
      ...{ consumer, payee, chainId: Number(chain_id), paid: BigInt(paid) },
    })),
  }
}

/** Leaves the providers that these consumers have reported on to be scored anew. */
export async function touchReportedBy(sql: Sql, consumers: Iterable<string>): Promise<void> {
  for (const consumer of consumers) {
    await sql.run(
      `INSERT INTO rescores (provider_id) SELECT DISTINCT provider_id FROM feedback WHERE consumer = $1
       ON CONFLICT DO NOTHING`,
      consumer,
    )
  }
}
