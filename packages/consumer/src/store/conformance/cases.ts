import type { ClientStore, Write } from '../ClientStore.ts'

/** What a case works with: stores at one place that nobody has used. They are closed after it. */
export type Setting = { open: () => ClientStore }

/** Runs in test runners and in pages alike, so it only throws. */
export type Case = { title: string; run: (setting: Setting) => Promise<void> }

/** @throws {Error} Where the two differ, as JSON. */
export function same(actual: unknown, expected: unknown, context = ''): void {
  const [found, wanted] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (found !== wanted) throw new Error(`${context} expected ${wanted}, found ${found}`.trim())
}

export async function failure(promise: Promise<unknown>): Promise<{ code?: string; message?: string }> {
  return promise.then(
    () => ({ message: 'it did not fail' }),
    (error) => error,
  )
}

export const put = (store: ClientStore, ...writes: Write[]) => store.step(0, () => writes)

/** What was written since, without a write. */
export async function changes(store: ClientStore, since = 0): Promise<Write[]> {
  let seen: readonly Write[] = []
  await store.step(since, (changes) => {
    seen = changes
    return []
  })
  return [...seen]
}

/** Adds one to a number that others add to. Asks from where it was, as a client does. */
export function counter(store: ClientStore, key = 'count') {
  let [since, value] = [0, 0]
  return {
    async add(): Promise<number> {
      let added = 0
      since = await store.step(since, (changes) => {
        const known = changes.find((change) => change.key === key)
        if (known) value = Number(known.text)
        added = value + 1
        return [{ key, text: String(added) }]
      })
      return added
    },
  }
}

export const range = (count: number) => Array.from({ length: count }, (_, index) => index)
