import type { Hex } from 'viem'
import { inBatches } from './inBatches.ts'
import type { ChannelRecord, Decide, Found, LedgerStore } from './LedgerStore.ts'
import { isCollision } from './postgresPool.ts'
import { aVersion, type Change, type postgresTable } from './postgresTable.ts'
import { RecentMap } from './RecentMap.ts'

/** How many channels share a statement. */
const batchSize = 256

/** How many bytes of outcomes share a statement. A larger one goes alone. */
const mostBytes = 4 * 1024 * 1024

/** For how many batches a channel that others work on too is locked before it is read. */
const mostRivals = 8

type Step = {
  decide: Decide<unknown>
  resolve: (result: never) => void
  reject: (error: unknown) => void
  askedAt: number
}

/** A row as this process knows it. It was the durable one at some time after `readAt`. */
type Known = {
  readonly record: ChannelRecord | undefined
  readonly version: bigint | undefined
  readonly readAt: number
  /** Above 0: others change this channel too, and lately were faster. */
  readonly rivals: number
}

/** The steps on one channel that this process has under way, in the order of their calls. */
type Line = { readonly channelId: Hex; readonly steps: Step[]; known: Known | undefined; rivals: number }

/** What the steps of a line come to, if the row is still as it is known: those of them for which there was room. */
type Plan = {
  readonly line: Line
  /** How many steps the line had. */
  readonly steps: number
  readonly endings: readonly (() => void)[]
  readonly change: Change | undefined
}

/** How many bytes of outcomes a statement can still take. */
type Room = { bytes: number }

/**
 * Steps on channels, many at a time, on rows that other processes change too.
 *
 * A step decides on the row as this process last knew it and writes under the condition that it still is: one round trip. If
 * it isn't, the row is locked, and all is decided again on what it is now, which always gets through.
 *
 * So what a step returns always rests on the row as it was after the step was asked for. If anything is written, the
 * condition proves it, also for the steps decided beside it. If nothing is, be it a refusal or an error, nothing proves it:
 * such a step is only believed on a row that was read after it was asked for; otherwise the row is read first and the step
 * decides again. No refusal is a special case, and no new one needs thought.
 *
 * A failure in the middle of writing leaves open whether it was written. Nothing is repeated then: the steps reject, the row
 * is forgotten, and the next step reads what has become of it.
 */
export function postgresSteps(
  table: ReturnType<typeof postgresTable>,
  { now, cacheSize }: { now: () => number; cacheSize: number },
) {
  const lines = new Map<Hex, Line>()
  /** Rows at rest. */
  const cache = new RecentMap<Hex, Known>(cacheSize)
  /** Counts calls: what was read before, and what was asked after. */
  let moment = 0

  const toRead = inBatches(batchSize, readLines)
  const toWrite = inBatches(batchSize, writeLines)
  const toLock = inBatches(batchSize, lockLines)
  const toFind = inBatches(batchSize, find)

  /** Sends a line where it has to go next. */
  function send(line: Line, mustRead = false): void {
    const { channelId, known } = line
    if (line.steps.length === 0) {
      lines.delete(channelId)
      if (known) cache.set(channelId, { ...known, rivals: line.rivals })
    } else if (line.rivals > 0) toLock(line)
    else if (known && !mustRead) toWrite(line)
    else toRead(line)
  }

  /** Lets the steps of a line decide, each on what the one before has left, as far as there is room for their outcomes. */
  function plan(line: Line, known: Known, room: Room): Plan {
    const time = now()
    const outcomes = new Map<Hex, Change['outcomes'][number]>()
    const dayEnds = new Map<number, Change['dayEnds'][number]>()
    const claims: Change['claims'][number][] = []
    let { record } = known
    const endings: (() => void)[] = []
    for (const { decide, resolve, reject } of line.steps) {
      try {
        const { result, write } = decide(record, time)
        const bytes = write?.outcome?.response.length ?? 0
        if (bytes > 0 && bytes > room.bytes && room.bytes < mostBytes) break
        room.bytes -= bytes
        if (write) {
          record = write.record
          if (write.outcome) outcomes.set(write.outcome.keyId, write.outcome)
          if (write.dayEnd) dayEnds.set(write.dayEnd.day, write.dayEnd)
          if (write.claim) claims.push(write.claim)
        }
        endings.push(() => resolve(result as never))
      } catch (error) {
        endings.push(() => reject(error))
      }
    }
    const planned = { line, steps: line.steps.length, endings }
    if (!record || record === known.record) return { ...planned, change: undefined }
    const more = { outcomes: [...outcomes.values()], dayEnds: [...dayEnds.values()], claims }
    const change = { channelId: line.channelId, known: known.version, version: aVersion(), record, ...more }
    return { ...planned, change }
  }

  function settle({ line, endings }: Plan, count = endings.length): void {
    line.steps.splice(0, count)
    for (const end of endings.slice(0, count)) end()
  }

  function settleUnchanged(plan: Plan, { readAt }: Known): void {
    const { line } = plan
    const tooLate = line.steps.findIndex(({ askedAt }) => askedAt > readAt)
    settle(plan, tooLate < 0 ? plan.endings.length : Math.min(tooLate, plan.endings.length))
    send(line, true)
  }

  function settleWritten(plan: Plan, change: Change, readAt: number): void {
    const { line } = plan
    line.known = { record: change.record, version: change.version, readAt, rivals: 0 }
    settle(plan)
    send(line)
  }

  /** Others were faster. */
  function retry(line: Line): void {
    line.known = undefined
    line.rivals = Math.min(line.rivals + 2, mostRivals)
    send(line)
  }

  /** Rejects these steps; those that came later try for themselves. */
  function fail(line: Line, error: unknown, count = line.steps.length): void {
    line.known = undefined
    for (const { reject } of line.steps.splice(0, count)) reject(error)
    send(line)
  }

  async function readLines(batch: Line[]): Promise<void> {
    const readAt = moment
    try {
      const rows = await table.read(batch.map(({ channelId }) => channelId))
      for (const line of batch) {
        const row = rows.get(line.channelId)
        if (!row || row.error) fail(line, row?.error)
        else {
          line.known = { record: row.record, version: row.version, readAt, rivals: 0 }
          toWrite(line)
        }
      }
    } catch (error) {
      for (const line of batch) fail(line, error)
    }
  }

  async function writeLines(batch: Line[]): Promise<void> {
    const readAt = moment
    const room: Room = { bytes: mostBytes }
    const plans: (Plan & { change: Change })[] = []
    for (const line of batch) {
      const { known } = line
      if (!known) {
        toRead(line)
        continue
      }
      const { change, ...rest } = plan(line, known, room)
      if (change) plans.push({ ...rest, change })
      else if (rest.endings.length === 0) toWrite(line)
      else settleUnchanged({ ...rest, change }, known)
    }
    if (plans.length === 0) return
    try {
      const written = await table.write(plans.map(({ change }) => change))
      for (const plan of plans) {
        if (written.has(plan.line.channelId)) settleWritten(plan, plan.change, readAt)
        else retry(plan.line)
      }
    } catch (error) {
      for (const { line, steps } of plans) {
        if (isCollision(error)) retry(line)
        else fail(line, error, steps)
      }
    }
  }

  async function lockLines(batch: Line[]): Promise<void> {
    const readAt = moment
    const room: Room = { bytes: mostBytes }
    const plans = new Map<Line, { plan: Plan; known: Known }>()
    const errors = new Map<Line, unknown>()
    try {
      const written = await table.lock(
        batch.map(({ channelId }) => channelId),
        (rows) =>
          batch.flatMap((line) => {
            const row = rows.get(line.channelId)
            if (!row || row.error) {
              errors.set(line, row?.error)
              return []
            }
            const isOurs = line.known !== undefined && line.known.version === row.version
            line.rivals = isOurs ? line.rivals - 1 : Math.min(line.rivals + 1, mostRivals)
            const known = { record: row.record, version: row.version, readAt, rivals: 0 }
            const planned = plan(line, known, room)
            plans.set(line, { plan: planned, known })
            return planned.change ? [planned.change] : []
          }),
      )
      for (const [line, error] of errors) fail(line, error)
      for (const [line, { plan, known }] of plans) {
        line.known = known
        if (!plan.change) settleUnchanged(plan, known)
        else if (written.has(line.channelId)) settleWritten(plan, plan.change, readAt)
        else retry(line)
      }
    } catch (error) {
      for (const line of batch) {
        if (isCollision(error)) retry(line)
        else fail(line, error, plans.get(line)?.plan.steps)
      }
    }
  }

  type Search = { channelId: Hex; resolve: (found: Found) => void; reject: (error: unknown) => void }

  async function find(searches: Search[]): Promise<void> {
    const readAt = moment
    try {
      const rows = await table.read([...new Set(searches.map(({ channelId }) => channelId))])
      for (const { channelId, resolve, reject } of searches) {
        const row = rows.get(channelId)
        if (!row || row.error) reject(row?.error)
        else {
          const { record, version } = row
          // What isn't there isn't remembered: made-up ids would push out real ones.
          if (record && !lines.has(channelId) && !cache.get(channelId))
            cache.set(channelId, { record, version, readAt, rivals: 0 })
          resolve({ record, now: now() })
        }
      }
    } catch (error) {
      for (const { reject } of searches) reject(error)
    }
  }

  const read = (channelId: Hex): Promise<Found> =>
    new Promise((resolve, reject) => toFind({ channelId, resolve, reject }))

  return {
    update: <result>(channelId: Hex, decide: Decide<result>) =>
      new Promise<result>((resolve, reject) => {
        moment += 1
        const step: Step = { decide, resolve, reject, askedAt: moment }
        const line = lines.get(channelId)
        if (line) {
          line.steps.push(step)
          return
        }
        const known = cache.get(channelId)
        cache.delete(channelId)
        const fresh: Line = { channelId, steps: [step], known, rivals: known?.rivals ?? 0 }
        lines.set(channelId, fresh)
        send(fresh)
      }),

    read,

    async glance(channelId: Hex): Promise<Found> {
      const known = lines.get(channelId)?.known ?? cache.get(channelId)
      return known?.record ? { record: known.record, now: now() } : read(channelId)
    },

    /** The row is no more, or another: saves a round trip to find out. */
    forget: (channelId: Hex) => cache.delete(channelId),
  } satisfies Pick<LedgerStore, 'update' | 'read' | 'glance'> & Record<'forget', unknown>
}
