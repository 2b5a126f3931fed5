/**
 * A client's process for `conformance/processes.ts`: `node hammer.child.ts <job> <kind> <path>`. Begins when it is told to, and
 * prints a line for whatever the store acknowledged.
 */
import { once } from 'node:events'
import { registerHooks } from 'node:module'
import type { ClientStore } from './ClientStore.ts'

// Like the tests it runs the sources, without a build.
const core = new URL('../../../core/src/index.ts', import.meta.url).href
registerHooks({
  resolve: (specifier, context, next) => next(specifier === '@drain/core' ? core : specifier, context),
})
const { fileStore } = await import('./file.ts')
const { sqliteStore } = await import('./sqlite.ts')
const { counter, put } = await import('./conformance/cases.ts')

const [job = '', kind = '', path = ''] = process.argv.slice(2)
const open = (): ClientStore => (kind === 'file' ? fileStore(path) : sqliteStore(path))

const jobs: Record<string, () => Promise<void>> = {
  /** 500 increments of one number, ten at a time. */
  async count() {
    const store = open()
    const lanes = Array.from({ length: 10 }, async () => {
      const { add } = counter(store)
      for (let times = 0; times < 50; times++) console.log(await add())
    })
    await Promise.all(lanes)
    await store.close()
  },

  /** Entry after entry in each of eight lanes, with the number of the last one and long texts, until somebody kills it. */
  async load() {
    const store = open()
    const run = `${Date.now()} ${process.pid}`
    const lanes = Array.from({ length: 8 }, async (_, lane) => {
      for (let [count, since] = [0, 0]; ; count++) {
        const own = `${run} ${lane}`
        const text = `${count} `.repeat(1 + ((count * 37) % 900))
        since = await store.step(since, () => [
          { key: `${own}/${count}`, text },
          { key: `${own}/last`, text: String(count) },
        ])
        console.log(`${own}/${count}`)
      }
    })
    await Promise.all(lanes)
  },

  /** Has the store until somebody kills it. */
  async hold() {
    const store = open()
    await put(store, { key: 'held', text: String(process.pid) })
    console.log('held')
    await once(process, 'message')
    await store.close()
  },

  /** Opens the store if it can, and says how that went. Lets go when it is told to. */
  async open() {
    try {
      const store = open()
      console.log('opened')
      await once(process, 'message')
      await store.close()
    } catch (error) {
      console.log((error as { code?: string }).code ?? String(error))
    }
  },
}

process.send?.('ready')
await once(process, 'message')
await jobs[job]?.()
if (process.connected) process.disconnect()
