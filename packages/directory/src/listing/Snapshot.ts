/** Every provider, in memory: the database is asked only for what has changed. */
import { type Category, isListed, isOnline, type ProviderRecord } from '../Provider.ts'
import type { Providers } from '../store/Providers.ts'

export type Filter = {
  category?: string | undefined
  /** Part of a model's id or name. */
  model?: string | undefined
  protocol?: string | undefined
  tier?: string | undefined
  /** 0 to 1. */
  minScore?: number | undefined
  /** Part of a name, a description or a model. */
  search?: string | undefined
  /** Leave out those that don't answer. */
  online: boolean
}

/** Where a page ends: what the order goes by, so that the next goes on there whatever has changed. */
export type Position = { online: boolean; score: number; latencyMs: number; id: string }

export type Page = {
  records: readonly ProviderRecord[]
  /** Of all pages. */
  total: number
  /** Where this page ends, if there is another. */
  next?: Position | undefined
}

export type Snapshot = {
  /** Of the latest change that is in it. */
  readonly revision: number
  /** When it was last compared with the database; Unix milliseconds. */
  readonly readAt: number
  /** Also what agents don't see. */
  get(id: string): ProviderRecord | undefined
  all(): Iterable<ProviderRecord>
  /** How many there are, in any state. */
  readonly size: number
  /** What agents see, online or not: those that answer, then the better, then the faster. */
  readonly listed: readonly ProviderRecord[]
  select(filter: Filter, range: { limit: number; after?: Position | undefined }): Page
  /** Takes in what has changed. One at a time: others wait for it. */
  refresh(): Promise<void>
}

const atOnce = 1_000

export function createSnapshot(providers: Providers, now: () => number): Snapshot {
  const all = new Map<string, ProviderRecord>()
  let listed: readonly ProviderRecord[] = []
  let revision = 0
  let readAt = 0
  let running: Promise<void> | undefined
  let following: Promise<void> | undefined

  async function read(): Promise<void> {
    const before = revision
    for (;;) {
      const changed = await providers.changedSince(revision, atOnce)
      for (const record of changed) {
        all.set(record.id, record)
        revision = record.revision
      }
      if (changed.length < atOnce) break
    }
    readAt = now()
    if (revision !== before) listed = [...all.values()].filter(isListed).sort(inOrder)
  }

  return {
    get revision() {
      return revision
    },
    get readAt() {
      return readAt
    },
    get size() {
      return all.size
    },
    get listed() {
      return listed
    },
    get: (id) => all.get(id),
    all: () => all.values(),
    select(filter, { limit, after }) {
      const fits = toPredicate(filter)
      const records: ProviderRecord[] = []
      let total = 0
      let hasMore = false
      for (const record of listed) {
        if (!fits(record)) continue
        total++
        if (after && compare(positionOf(record), after) <= 0) continue
        if (records.length < limit) records.push(record)
        else hasMore = true
      }
      const last = records.at(-1)
      return { records, total, next: hasMore && last ? positionOf(last) : undefined }
    },
    refresh() {
      // What was written before this call may have come too late for the reading that is under way.
      if (running) {
        following ??= running.then(() => {
          following = undefined
          return start()
        })
        return following
      }
      return start()
    },
  }

  function start(): Promise<void> {
    running = read().finally(() => {
      running = undefined
    })
    return running
  }
}

/** What a search looks at; made once of each version of a record. */
const texts = new WeakMap<ProviderRecord, { models: string; all: string }>()

function textsOf(record: ProviderRecord): { models: string; all: string } {
  let found = texts.get(record)
  if (!found) {
    const { profile, offer, id } = record
    const models = offer.models
      .map((model) => `${model.id}\n${model.name}`)
      .join('\n')
      .toLowerCase()
    found = { models, all: `${id}\n${profile.name}\n${profile.description}\n`.toLowerCase() + models }
    texts.set(record, found)
  }
  return found
}

function toPredicate(filter: Filter): (record: ProviderRecord) => boolean {
  const { category, protocol, tier, minScore = 0, online } = filter
  const [model, search] = [filter.model?.toLowerCase(), filter.search?.toLowerCase()]
  return (record) => {
    const { profile, health, score } = record
    return (
      score >= minScore &&
      (!online || isOnline(health)) &&
      (protocol === undefined || record.protocol === protocol) &&
      (tier === undefined || record.tier === tier) &&
      (category === undefined ||
        profile.category === category ||
        profile.moreCategories.includes(category as Category)) &&
      (model === undefined || textsOf(record).models.includes(model)) &&
      (search === undefined || textsOf(record).all.includes(search))
    )
  }
}

function positionOf({ id, score, health }: ProviderRecord): Position {
  return { online: isOnline(health), score, latencyMs: health.medianMs ?? health.latencyMs ?? 1e9, id }
}

const inOrder = (one: ProviderRecord, other: ProviderRecord) => compare(positionOf(one), positionOf(other))

function compare(one: Position, other: Position): number {
  return (
    Number(other.online) - Number(one.online) ||
    other.score - one.score ||
    one.latencyMs - other.latencyMs ||
    (one.id < other.id ? -1 : one.id > other.id ? 1 : 0)
  )
}
