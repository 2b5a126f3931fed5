import type { Book } from './Book.ts'
import { delay } from './delay.ts'

/** Turns at what only one client of a store may do at a time. */
export type Leases = {
  /** Runs a task when it is this client's turn. A client that dies in its turn holds the others up for a minute. */
  exclusively<result>(name: string, task: () => Promise<result>): Promise<result>
}

/** How long a turn lasts unless it is renewed, how often it is renewed, and how often others look. Milliseconds. */
const turn = 60_000
const renewal = 20_000
const look = 200

/** @param client Names this client among those that share the store. @param now Unix milliseconds. */
export function createLeases(book: Book, client: string, now: () => number): Leases {
  let last: Promise<unknown> = Promise.resolve()

  const take = (name: string) =>
    book.step((page) => {
      const held = page.get('lease', name)
      if (held && held.client !== client && held.until > now()) return false
      page.put('lease', name, { name, client, until: now() + turn })
      return true
    })
  const release = (name: string) =>
    book.step((page) => {
      if (page.get('lease', name)?.client === client) page.remove('lease', name)
    })

  async function run<result>(name: string, task: () => Promise<result>): Promise<result> {
    while (!(await take(name))) await delay(look)
    const renewing = setInterval(() => take(name).catch(() => {}), renewal)
    try {
      return await task()
    } finally {
      clearInterval(renewing)
      // What it held runs out by itself, if this fails.
      await release(name).catch(() => {})
    }
  }

  return {
    exclusively(name, task) {
      const next = last.then(
        () => run(name, task),
        () => run(name, task),
      )
      last = next.catch(() => {})
      return next
    },
  }
}
