import type { Hex } from 'viem'
import { type Account, lapse, matches } from './Account.ts'
import { createLedger } from './createLedger.ts'
import * as Day from './Day.ts'
import { LedgerUnavailableError } from './Errors.ts'
import type { ChargedDay, ClaimRecord, DayRange, LedgerOpener, LedgerTotals, Outcome } from './Ledger.ts'
import type { ChannelRecord, DayEnd, LedgerStore } from './LedgerStore.ts'

/**
 * A ledger that forgets everything when the process ends, and says so when opened: for tests and first steps.
 *
 * After a restart it knows no channel and takes every old voucher again. Use `sqliteLedger` where money matters.
 */
export function memoryLedger(options: memoryLedger.Options = {}): LedgerOpener {
  const { now = Date.now, log = console.warn, keepOutcomesMs } = options
  return (identity) => {
    log(
      'The ledger is kept in memory: it forgets what was paid for when this process ends. Not for real money.',
    )
    return createLedger(memoryStore(now), { identity, log, keepOutcomesMs })
  }
}

export declare namespace memoryLedger {
  type Options = {
    /** The clock of the leases, in milliseconds. Default: `Date.now`. */
    now?: (() => number) | undefined
    /** How long the outcome of a request with an idempotency key is kept. Default: 86,400,000, a day. */
    keepOutcomesMs?: number | undefined
    /** Takes what the operator should know: this warning, and alarms. Default: `console.warn`. */
    log?: ((message: string) => void) | undefined
  }
}

function memoryStore(now: () => number): LedgerStore {
  const records = new Map<Hex, ChannelRecord>()
  const outcomes = new Map<string, Outcome & { endsAt: number }>()
  const dayEnds: (DayEnd & Pick<Account, 'channelId' | 'consumer'>)[] = []
  const claims: ClaimRecord[] = []
  const notes = new Map<string, string>()
  let closed = false

  function assertOpen(): void {
    if (closed) throw new LedgerUnavailableError('it was closed')
  }

  function found(channelId: Hex) {
    assertOpen()
    return { record: records.get(channelId), now: now() }
  }

  function accounts(): Account[] {
    return [...records.values()].map(({ account }) => account)
  }

  /** Cumulative charges at the ends of days, the running day of each channel among them. */
  function allDayEnds() {
    const running = accounts().flatMap((account) => toDayEnd(account) ?? [])
    return [...dayEnds, ...running].sort((a, b) => a.day - b.day)
  }

  return {
    async update(channelId, decide) {
      const { record, now } = found(channelId)
      const { result, write } = decide(record, now)
      if (!write) return result
      const { account } = write.record
      records.set(channelId, write.record)
      if (write.outcome) {
        const { keyId, ...outcome } = write.outcome
        outcomes.set(`${channelId}:${keyId}`, { ...outcome, response: outcome.response.slice() })
      }
      if (write.dayEnd) dayEnds.push({ ...write.dayEnd, channelId, consumer: account.consumer })
      if (write.claim) claims.push(write.claim)
      return result
    },
    read: async (channelId) => found(channelId),
    glance: async (channelId) => found(channelId),
    async *pages(filter) {
      assertOpen()
      yield accounts().filter((account) => matches(account, filter))
    },
    async totals() {
      assertOpen()
      const totals: LedgerTotals = {
        ...{ open: 0, closing: 0, closed: 0, alarms: 0 },
        ...{ deposit: 0n, authorized: 0n, charged: 0n, reserved: 0n, claimed: 0n, unused: 0n },
      }
      for (const account of accounts()) {
        totals[account.status] += 1
        totals.alarms += Number(account.alarm)
        for (const sum of ['deposit', 'authorized', 'charged', 'reserved', 'claimed'] as const)
          totals[sum] += account[sum]
        if (account.claimed > account.charged) totals.unused += account.claimed - account.charged
      }
      return totals
    },
    async outcome(channelId, keyId) {
      assertOpen()
      const outcome = outcomes.get(`${channelId}:${keyId}`)
      return outcome && outcome.endsAt > now()
        ? { fingerprint: outcome.fingerprint, response: outcome.response.slice() }
        : undefined
    },
    async *days(range) {
      assertOpen()
      const before = new Map<Hex, DayEnd>()
      const days: ChargedDay[] = []
      for (const { channelId, consumer, ...end } of allDayEnds()) {
        const { charged, requests } = before.get(channelId) ?? { charged: 0n, requests: 0n }
        before.set(channelId, end)
        if (isIn(range, end.day)) {
          const since = { charged: end.charged - charged, requests: end.requests - requests }
          days.push({ day: Day.format(end.day), channelId, consumer, ...since })
        }
      }
      yield days
    },
    async *claims(range) {
      assertOpen()
      yield claims.filter(({ at }) => isIn(range, Day.at(Number(at) * 1000)))
    },
    async writeNote(key, decide) {
      assertOpen()
      const { result, write } = decide(notes.get(key), now())
      if (write === null) notes.delete(key)
      else if (write !== undefined) notes.set(key, write)
      return result
    },
    async notes(from, until) {
      assertOpen()
      return [...notes]
        .filter(([key]) => from <= key && key < until)
        .sort(([one], [other]) => (one < other ? -1 : 1))
        .map(([key, text]) => ({ key, text }))
    },
    async prune(isOver) {
      assertOpen()
      const [channelsBefore, outcomesBefore] = [records.size, outcomes.size]
      for (const [key, { endsAt }] of outcomes) if (endsAt <= now()) outcomes.delete(key)
      for (const [channelId, record] of records) {
        const lapsed = lapse(record, now())
        const { account } = lapsed
        records.set(channelId, lapsed)
        if (!isOver(account, now())) continue
        const end = toDayEnd(account)
        if (end) dayEnds.push(end)
        records.delete(channelId)
        for (const key of outcomes.keys()) if (key.startsWith(`${channelId}:`)) outcomes.delete(key)
      }
      return { channels: channelsBefore - records.size, outcomes: outcomesBefore - outcomes.size }
    },
    async ready() {
      assertOpen()
    },
    async close() {
      closed = true
    },
  }
}

function toDayEnd({ channelId, consumer, chargedOn, charged, requests }: Account) {
  return chargedOn === undefined ? undefined : { day: chargedOn, charged, requests, channelId, consumer }
}

function isIn({ from, to }: DayRange, day: number): boolean {
  const text = Day.format(day)
  return (from === undefined || text >= from) && (to === undefined || text <= to)
}
