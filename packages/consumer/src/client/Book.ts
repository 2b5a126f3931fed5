import { DrainError } from '@drain/core'
import type { ClientStore, Write } from '../store/ClientStore.ts'
import { errorWords } from './errorWords.ts'
import { fromText, type Records, toText } from './records.ts'

type Kind = keyof Records

/** The records as they stand, for reading. */
export type View = {
  get<kind extends Kind>(kind: kind, id: string): Records[kind] | undefined
  list<kind extends Kind>(kind: kind): Iterable<Records[kind]>
}

/** The records within a step. What is put here is durable when the step resolves, or nothing is. */
export type Page = View & {
  put<kind extends Kind>(kind: kind, id: string, record: Records[kind]): void
  remove(kind: Kind, id: string): void
}

/**
 * One wallet's records on one contract, in a store that other clients may share.
 *
 * Everything that changes goes through `step`: alone among all clients of the store, on what they have all written so far.
 * So parallel requests, processes and tabs never see or sign the same numbers. Steps that wait share a write.
 */
export type Book = {
  /** @throws What `decide` throws; `store_unavailable` when nothing could be written. */
  step<result>(decide: (page: Page) => result): Promise<result>
  /**
   * Writes down what has happened already, whether or not the store works now: where it fails, `decide` is called again, as
   * `late`, before the next steps. What was meant to be written may have been, then.
   *
   * @throws What `decide` throws.
   */
  note(decide: (page: Page, late: boolean) => void): Promise<void>
  /** As of the last step that succeeded. */
  view: View
}

type Job = {
  run(page: Page): void
  settle(failure?: unknown): void
  /** What becomes of it when nothing can be written. */
  fail(error: unknown): void
}
type Drafts = Map<string, unknown>

/** @param prefix What all its keys begin with; other keys of the store are others' business. */
export function createBook(store: ClientStore, prefix: string): Book {
  const known = new Map<Kind, Map<string, unknown>>()
  let revision = 0
  let waiting: Job[] = []
  /** What the store failed to take, and has to. */
  let late: Job[] = []
  let isRunning = false

  function kindOf(kind: Kind): Map<string, unknown> {
    let records = known.get(kind)
    if (!records) {
      records = new Map()
      known.set(kind, records)
    }
    return records
  }

  function learn({ key, text }: Write): void {
    if (!key.startsWith(prefix)) return
    const [kind, id] = split(key.slice(prefix.length))
    if (text === null) kindOf(kind).delete(id)
    else kindOf(kind).set(id, fromText(text))
  }

  function viewOf(layers: readonly Drafts[]): View {
    return {
      get<kind extends Kind>(kind: kind, id: string) {
        const name = `${kind}/${id}`
        const layer = layers.find((one) => one.has(name))
        return (layer ? layer.get(name) : kindOf(kind).get(id)) as Records[kind] | undefined
      },
      *list<kind extends Kind>(kind: kind) {
        const ids = new Set(kindOf(kind).keys())
        for (const layer of layers)
          for (const name of layer.keys()) if (split(name)[0] === kind) ids.add(split(name)[1])
        for (const id of ids) {
          const record = this.get(kind, id)
          if (record !== undefined) yield record
        }
      },
    }
  }

  /** Runs the jobs one after the other, each on what those before it have put. What one throws undoes only its own. */
  function decide(jobs: readonly Job[], failures: Map<Job, unknown>): Drafts {
    const drafts: Drafts = new Map()
    for (const job of jobs) {
      const own: Drafts = new Map()
      try {
        job.run({
          ...viewOf([own, drafts]),
          put: (kind, id, record) => own.set(`${kind}/${id}`, record),
          remove: (kind, id) => own.set(`${kind}/${id}`, undefined),
        })
        failures.delete(job)
        for (const [name, record] of own) drafts.set(name, record)
      } catch (error) {
        failures.set(job, error)
      }
    }
    return drafts
  }

  async function write(jobs: readonly Job[]): Promise<void> {
    const failures = new Map<Job, unknown>()
    let drafts: Drafts = new Map()
    const since = revision
    try {
      revision = await store.step(since, (changes) => {
        if (since === 0) known.clear()
        for (const change of changes) learn(change)
        drafts = decide(jobs, failures)
        return [...drafts].map(([name, record]) => ({
          key: prefix + name,
          text: record === undefined ? null : toText(record),
        }))
      })
    } catch (cause) {
      // Whether it was written is open: the next step reads everything anew.
      revision = 0
      const error = unavailable(cause)
      for (const job of jobs) job.fail(error)
      return
    }
    for (const [name, record] of drafts) {
      const [kind, id] = split(name)
      if (record === undefined) kindOf(kind).delete(id)
      else kindOf(kind).set(id, record)
    }
    for (const job of jobs) {
      if (failures.has(job)) job.settle(failures.get(job))
      else job.settle()
    }
  }

  async function run(): Promise<void> {
    if (isRunning) return
    isRunning = true
    // Steps that are called in the same turn go together.
    await Promise.resolve()
    while (waiting.length > 0) {
      const jobs = [...late, ...waiting]
      late = []
      waiting = []
      await write(jobs)
    }
    isRunning = false
  }

  return {
    step<result>(decide: (page: Page) => result): Promise<result> {
      return new Promise((resolve, reject) => {
        let result: result
        waiting.push({
          run(page) {
            result = decide(page)
          },
          settle: (...failure) => (failure.length > 0 ? reject(failure[0]) : resolve(result)),
          fail: reject,
        })
        run()
      })
    },
    note(decide) {
      return new Promise((resolve, reject) => {
        let isLate = false
        const job: Job = {
          run: (page) => decide(page, isLate),
          settle: (...failure) => (failure.length > 0 ? reject(failure[0]) : resolve()),
          fail() {
            isLate = true
            late.push(job)
            resolve()
          },
        }
        waiting.push(job)
        run()
      })
    },
    view: viewOf([]),
  }
}

function split(name: string): [Kind, string] {
  const slash = name.indexOf('/')
  return [name.slice(0, slash) as Kind, name.slice(slash + 1)]
}

function unavailable(cause: unknown): DrainError {
  if (cause instanceof DrainError) return cause
  return new DrainError('store_unavailable', 'The client’s records cannot be written; nothing was sent.', {
    action: 'See the cause: a full disk, or a file that somebody else holds.',
    details: errorWords(cause),
    cause,
  })
}
