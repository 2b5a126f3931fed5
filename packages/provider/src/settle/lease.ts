import type { Notebook } from '../ledger/Notebook.ts'

/** The right to do what only one of several processes should do at a time. */
export type Lease = {
  /** Takes it, or keeps it for another while; `false` while another process has it. */
  take(): Promise<boolean>
  release(): Promise<void>
}

type Held = { owner: string; until: number }

/** A lease by name, for `forMs` of the store's clock after each `take`. A process that dies leaves it to others then. */
export function createLease(notebook: Notebook, name: string, forMs: number): Lease {
  const key = `lease/${name}`
  const owner = crypto.randomUUID()
  const read = (text: string | undefined) => (text === undefined ? undefined : (JSON.parse(text) as Held))
  return {
    take: () =>
      notebook.write(key, (text, now) => {
        const held = read(text)
        if (held && held.owner !== owner && held.until > now) return { result: false }
        return { result: true, write: JSON.stringify({ owner, until: now + forMs } satisfies Held) }
      }),
    release: () =>
      notebook.write(key, (text) =>
        read(text)?.owner === owner ? { result: undefined, write: null } : { result: undefined },
      ),
  }
}
