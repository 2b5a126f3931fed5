import { StoreFileError, StoreUnavailableError } from './Errors.ts'

const version = 1

/**
 * Opens the database, or makes it: `entries` holds rows of that type, `keys` the key that secrets are sealed with.
 *
 * @param lose Told when the database is gone while it is open.
 * @throws {StoreFileError} It belongs to another program, or to a later version of this one.
 * @throws {StoreUnavailableError} The browser does not let it.
 */
export function openDatabase(name: string, lose: (problem: string) => void): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    if (!globalThis.indexedDB)
      throw new StoreUnavailableError('there is no IndexedDB here', {
        action: 'Use indexedDbStore in a page, and another store elsewhere.',
      })
    const request = indexedDB.open(name, version)
    request.onupgradeneeded = () => {
      const entries = request.result.createObjectStore('entries', { keyPath: 'key' })
      entries.createIndex('revision', 'revision')
      request.result.createObjectStore('keys')
    }
    request.onerror = () => reject(refusal(name, request.error))
    request.onsuccess = () => {
      const database = request.result
      const names = database.objectStoreNames
      if (!names.contains('entries') || !names.contains('keys')) {
        database.close()
        reject(new StoreFileError(name, 'belongs to another program', { action: 'Name another database.' }))
        return
      }
      database.onclose = () => lose('the browser has closed or cleared it')
      // Somebody wants to remove it: who keeps it open stands in the way.
      database.onversionchange = () => {
        lose('it was removed')
        database.close()
      }
      resolve(database)
    }
  })
}

function refusal(name: string, cause: DOMException | null): StoreFileError | StoreUnavailableError {
  if (cause?.name !== 'VersionError') return new StoreUnavailableError('IndexedDB refuses it', { cause })
  return new StoreFileError(name, 'was written by a later version, or by another program', {
    action: 'Load the page anew; if that does not help, name another database.',
    cause,
  })
}
