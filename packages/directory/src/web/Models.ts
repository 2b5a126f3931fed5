/** Who offers which model, cheapest first: made anew when a listing has changed. */
import type { Snapshot } from '../listing/Snapshot.ts'
import { isOnline, type Model, type ProviderRecord } from '../Provider.ts'
import { cheaperFirst } from './parts/price.ts'

export type Offering = { record: ProviderRecord; model: Model }

export type ModelEntry = {
  id: string
  /** Those that answer first, then the cheaper. */
  offerings: readonly Offering[]
}

export type Models = {
  /** Those with most providers first, then by name. */
  all(): readonly ModelEntry[]
  get(id: string): ModelEntry | undefined
}

export function createModels(snapshot: Pick<Snapshot, 'listed'>): Models {
  let made: { from: readonly ProviderRecord[]; byId: Map<string, ModelEntry>; all: ModelEntry[] } | undefined

  /** The list is another one whenever something in it has changed. */
  function current() {
    if (made?.from === snapshot.listed) return made
    const groups = new Map<string, Offering[]>()
    for (const record of snapshot.listed) {
      for (const model of record.offer.models) {
        const group = groups.get(model.id)
        if (group) group.push({ record, model })
        else groups.set(model.id, [{ record, model }])
      }
    }
    const all = [...groups].map(([id, offerings]) => ({ id, offerings: offerings.sort(betterFirst) }))
    all.sort((one, other) => other.offerings.length - one.offerings.length || (one.id < other.id ? -1 : 1))
    made = { from: snapshot.listed, byId: new Map(all.map((entry) => [entry.id, entry])), all }
    return made
  }

  return { all: () => current().all, get: (id) => current().byId.get(id) }
}

function betterFirst(one: Offering, other: Offering): number {
  return (
    Number(isOnline(other.record.health)) - Number(isOnline(one.record.health)) ||
    cheaperFirst(one.model, other.model) ||
    other.record.score - one.record.score
  )
}
