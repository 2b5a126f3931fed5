import type { Book, Page } from './Book.ts'
import { delay } from './delay.ts'

/** Turns at what only one client of a store may do at a time. */
export type Leases = {
  /**
   * Runs a task when it is this client's turn at `name`. A client that dies in its turn holds the others up for a minute. Who
   * sleeps in its turn loses it: a task asks `isMine` in the step in which that matters.
   */
  exclusively<result>(name: string, task: (turn: Turn) => Promise<result>): Promise<result>
}

export type Turn = {
  /** Whether it is still this client's turn. */
  isMine(page: Page): boolean
}

/** How long a turn lasts unless it is renewed, how often it is renewed, and how often others look. Milliseconds. */
const turnTime = 60_000
const renewal = 20_000
const look = 200

/** @param client Names this client among those that share the store. @param now Unix milliseconds. */
export function createLeases(book: Book, client: string, now: () => number): Leases {
  const last = new Map<string, Promise<unknown>>()

  const take = (name: string) =>
    book.step((page) => {
      const held = page.get('lease', name)
      // No turn reaches further ahead, but for the clock of one that was wrong.
      const isHeld = held && held.until > now() && held.until <= now() + turnTime
      if (isHeld && held.client !== client) return false
      page.put('lease', name, { name, client, until: now() + turnTime })
      return true
    })
  const release = (name: string) =>
    book.step((page) => {
      if (page.get('lease', name)?.client === client) page.remove('lease', name)
    })

  async function run<result>(name: string, task: (turn: Turn) => Promise<result>): Promise<result> {
    while (!(await take(name))) await delay(look)
    const renewing = setInterval(() => take(name).catch(() => {}), renewal)
    try {
      return await task({ isMine: (page) => page.get('lease', name)?.client === client })
    } finally {
      clearInterval(renewing)
      // What it held runs out by itself, if this fails.
      await release(name).catch(() => {})
    }
  }

  return {
    exclusively(name, task) {
      const next = (last.get(name) ?? Promise.resolve()).then(() => run(name, task))
      const ended = next.then(
        () => {},
        () => {},
      )
      last.set(name, ended)
      ended.then(() => last.get(name) === ended && last.delete(name))
      return next
    },
  }
}
