/** What `indexedDb.test.ts` drives, in a page. */
import type { ClientStore } from './ClientStore.ts'
import { type Case, changes, counter, put, range } from './conformance/cases.ts'
import { lasting } from './conformance/lasting.ts'
import { shared } from './conformance/shared.ts'
import { steps } from './conformance/steps.ts'
import { indexedDbStore } from './indexedDb.ts'

const suites: Record<string, readonly Case[]> = { steps, lasting, shared }

export const page = {
  /** Runs one case of a suite on a database that nobody has used. */
  async runCase(suite: string, index: number): Promise<void> {
    const name = `${suite} ${index} ${Date.now()}`
    const opened: ClientStore[] = []
    await suites[suite]?.[index]?.run({
      open() {
        const store = indexedDbStore(name)
        opened.push(store)
        return store
      },
    })
    for (const store of opened) await store.close()
  },

  /** Adds to a number that other tabs add to, and returns what it was after each. */
  async count(name: string, times: number): Promise<number[]> {
    const store = indexedDbStore(name)
    const lanes = range(10).map(async () => {
      const { add } = counter(store)
      const counts: number[] = []
      for (const _ of range(times / 10)) counts.push(await add())
      return counts
    })
    const counts = await Promise.all(lanes)
    await store.close()
    return counts.flat()
  },

  async write(name: string, key: string, text: string): Promise<number> {
    return put(indexedDbStore(name), { key, text })
  },

  async read(name: string) {
    const store = indexedDbStore(name)
    const entries = await changes(store)
    await store.close()
    return entries
  },

  /** Writes entry after entry, until the tab ends. */
  async writeOn(name: string, acknowledge: (count: number) => void): Promise<void> {
    const store = indexedDbStore(name)
    let since = 0
    for (const count of range(1_000_000)) {
      const writes = [`entry ${count}`, 'last'].map((key) => ({ key, text: String(count) }))
      since = await store.step(since, () => writes)
      acknowledge(count)
    }
  },

  async seal(name: string, secret: number[]): Promise<string> {
    return indexedDbStore(name).seal(Uint8Array.from(secret))
  },

  /** @returns The secret, or the code of the error. */
  async unseal(name: string, text: string): Promise<number[] | string> {
    const store = indexedDbStore(name)
    return store.unseal(text).then(
      (secret) => Array.from(secret),
      (error) => error.code,
    )
  },

  /** What script can learn of the key in the database. */
  async key(name: string) {
    const database = await opened(indexedDB.open(name))
    const keys: CryptoKey[] = await opened(database.transaction('keys').objectStore('keys').getAll())
    database.close()
    const [key] = keys
    if (!key) throw new Error('no key')
    const exported = await crypto.subtle.exportKey('raw', key).then(
      () => 'exported',
      (error) => error.name,
    )
    return { count: keys.length, extractable: key.extractable, usages: key.usages, exported }
  },

  /** Uses a store that is then taken away by `change`, and returns the codes of what comes after. */
  async lose(name: string): Promise<string[]> {
    const store = indexedDbStore(name)
    await put(store, { key: 'a', text: '1' })
    await opened(indexedDB.deleteDatabase(name))
    return Promise.all(
      [put(store, { key: 'b', text: '2' }), store.step(1, () => [])].map((step) =>
        step.then(
          () => 'taken',
          (error) => error.code,
        ),
      ),
    )
  },

  /** Opens a database of another program, and one of a later version. */
  async refuse(): Promise<string[]> {
    for (const [name, version] of [
      ['others', 1],
      ['later', 9],
    ] as const) {
      const database = await opened(indexedDB.open(name, version))
      database.close()
    }
    return Promise.all(
      ['others', 'later'].map((name) =>
        changes(indexedDbStore(name)).then(
          () => 'opened',
          (error) => error.code,
        ),
      ),
    )
  },
}

function opened<result>(request: IDBRequest<result>): Promise<result> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

Object.assign(globalThis, { page })
