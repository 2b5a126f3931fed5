import type { ClientStore } from './ClientStore.ts'
import { StoreUnavailableError } from './Errors.ts'
import { commitSteps } from './indexedDbSteps.ts'
import { openDatabase } from './openDatabase.ts'
import { createStepQueue } from './stepQueue.ts'
import { webCryptoSeal } from './webCryptoSeal.ts'

/**
 * A store in the browser's IndexedDB, for any number of tabs of one origin. What it acknowledged is on the disk; steps asked
 * for at once share the flush. Secrets are sealed with a key that no script can read: who copies the database has nothing,
 * but whoever runs script on this origin can have them unsealed.
 *
 * The user may clear it, and browsers do when room is short: call `navigator.storage.persist()` to keep it.
 *
 * @param name Of the database.
 */
export function indexedDbStore(name = 'drain'): ClientStore {
  let opening: Promise<IDBDatabase> | undefined
  let lost: StoreUnavailableError | undefined

  async function database(): Promise<IDBDatabase> {
    if (lost) throw lost
    opening ??= openDatabase(name, (problem) => {
      lost ??= new StoreUnavailableError(problem, { action: 'Load the page anew.' })
    })
    try {
      return await opening
    } catch (error) {
      // The next step tries again: browsers refuse for a moment, too.
      opening = undefined
      throw error
    }
  }

  const queue = createStepQueue({
    commit: async (steps) => commitSteps(await database(), steps),
    async release() {
      const opened = await opening
      opened?.close()
    },
  })
  return { ...queue, ...webCryptoSeal(database) }
}
