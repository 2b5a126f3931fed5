import { afterEach } from 'vitest'
import * as Day from '../Day.ts'
import type { Ledger, ReserveResult } from '../Ledger.ts'

/** The clock of the store under test. Nothing depends on less than half a minute of it. */
export type Clock = {
  /** Milliseconds. Stands still save for `advance`. */
  now: () => number
  /** How far it is ahead of the real clock that was: for stores that have a clock of their own. Milliseconds. */
  offset: () => number
  advance: (milliseconds: number) => void
}

export type OpenOptions = {
  clock: Clock
  log: (message: string) => void
  keepOutcomesMs?: number | undefined
}

/** Opens a ledger over a store that nobody has used, whose leases go by `clock`. */
export type OpenLedger = (options: OpenOptions) => Ledger | Promise<Ledger>

/** What each subject of the suite works with. */
export type Setting = {
  clock: Clock
  /** A new ledger, closed after the test. */
  start: (options?: Partial<Omit<OpenOptions, 'clock'>>) => Promise<Ledger>
}

export function createSetting(open: OpenLedger): Setting {
  const clock = createClock()
  let opened: Ledger[] = []
  afterEach(async () => {
    for (const ledger of opened) await ledger.close()
    opened = []
  })
  return {
    clock,
    async start(options) {
      const ledger = await open({ clock, log: () => {}, ...options })
      opened.push(ledger)
      return ledger
    },
  }
}

/** A clock that begins at noon, so that no day ends where a test does not expect it. */
export function createClock(): Clock {
  const began = Date.now()
  let now = (Day.at(began) + 1.5) * Day.milliseconds
  return {
    now: () => now,
    offset: () => now - began,
    advance(milliseconds) {
      now += milliseconds
    },
  }
}

export async function mustReserve(ledger: Ledger, request: Parameters<Ledger['reserve']>[0]) {
  const result = await ledger.reserve(request)
  if (!result.ok) throw new Error(`refused: ${result.code}`)
  return result
}

export const codeOf = (result: { ok: boolean; code?: string }) => (result.ok ? 'ok' : result.code)

export const countOf = (results: ReserveResult[], code: string) =>
  results.filter((result) => codeOf(result) === code).length

/** Everything that an iterable gives. */
export async function allOf<item>(items: AsyncIterable<item>): Promise<item[]> {
  const all: item[] = []
  for await (const item of items) all.push(item)
  return all
}
