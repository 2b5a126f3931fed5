/** Puts what probers found into a provider's record: its health, and the part of its score that comes from it. */
import type { Offer, ProviderRecord, Status } from '../Provider.ts'
import type { Rooms } from '../Rooms.ts'
import { computeScore } from '../score/computeScore.ts'
import { healthOf } from './healthOf.ts'
import { readProbers } from './readProbers.ts'

/** What the own prober learnt beside the outcome. */
export type Finding = {
  /** For its owner, where something is wrong. */
  problem?: string | undefined
  /** What the server at a URL says now, from a correct answer. */
  offer?: (Offer & { apiUrl: string }) | undefined
  nextProbeAt?: number | undefined
}

/** Whose reports are believed, lower case. */
export function believedProbers({ settings }: Pick<Rooms, 'settings'>): string[] {
  const { prober, probers } = settings
  return [...new Set([...(prober ? [prober.address] : []), ...probers].map((one) => one.toLowerCase()))]
}

/** `undefined` where there is no such provider on the list: one that left it while it was asked stays as it went. */
export async function updateHealth(
  rooms: Rooms,
  id: string,
  { problem, offer, nextProbeAt }: Finding = {},
): Promise<ProviderRecord | undefined> {
  const { database, providers, settings } = rooms
  const { probeEveryMs } = settings
  const now = rooms.now()
  const found = await readProbers(database, { ids: [id], probers: believedProbers(rooms), now })
  const probers = found.get(id) ?? []
  let before: Status | undefined
  const changed = await providers.update(id, (record) => {
    if (record.state !== 'approved') return undefined
    before = record.health.status
    const { praised, blamed } = record.scoreParts
    const health = healthOf(probers, {
      now,
      probeEveryMs,
      before: record.health,
      ...(problem !== undefined && { problem }),
    })
    return {
      health,
      ...computeScore({ probers, praised: BigInt(praised), blamed: BigInt(blamed) }),
      ...(offer && isStillOf(offer, record) && { offer: offerIn(offer) }),
      ...(nextProbeAt !== undefined && { nextProbeAt }),
    }
  })
  if (changed && changed.health.status !== before) {
    await database.run(
      'INSERT INTO status_changes (provider_id, at, status, reason) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING',
      ...[id, now, changed.health.status, changed.health.problem],
    )
  }
  return changed
}

/** Its owner may have moved it elsewhere while it was asked. */
function isStillOf({ apiUrl, providerAddress }: Offer & { apiUrl: string }, record: ProviderRecord): boolean {
  const registered = record.offer.providerAddress
  return apiUrl === record.apiUrl && providerAddress?.toLowerCase() === registered?.toLowerCase()
}

const offerIn = ({ apiUrl: _, ...offer }: Offer & { apiUrl: string }): Offer => offer
