import { bytesToHex, hexToBytes } from 'viem'
import type { ClientStore } from './ClientStore.ts'
import { SealError } from './Errors.ts'

const algorithm = 'AES-GCM'
const prefix = 'aes-gcm:'
const ivBytes = 12

/** The only row of `keys`. */
const row = 'sealing'

/** Seals with a key in the database that can be used and not be read. */
export function webCryptoSeal(database: () => Promise<IDBDatabase>): Pick<ClientStore, 'seal' | 'unseal'> {
  let key: Promise<CryptoKey> | undefined

  async function sealingKey(): Promise<CryptoKey> {
    if (!globalThis.crypto?.subtle) throw new SealError('WebCrypto is for pages from https or localhost')
    key ??= database().then(keyOf)
    try {
      return await key
    } catch (error) {
      key = undefined
      throw error
    }
  }

  return {
    async seal(secret) {
      const iv = crypto.getRandomValues(new Uint8Array(ivBytes))
      const data = new Uint8Array(secret)
      const sealed = await crypto.subtle.encrypt({ name: algorithm, iv }, await sealingKey(), data)
      return `${prefix}${bytesToHex(new Uint8Array([...iv, ...new Uint8Array(sealed)]))}`
    },

    async unseal(text) {
      const hex = text.slice(prefix.length)
      if (!text.startsWith(prefix) || !/^0x([0-9a-f]{2})+$/.test(hex))
        throw new SealError('it was sealed by another kind of store, or is damaged')
      const bytes = new Uint8Array(hexToBytes(hex as `0x${string}`))
      const [iv, sealed] = [bytes.subarray(0, ivBytes), bytes.subarray(ivBytes)]
      const key = await sealingKey()
      try {
        return new Uint8Array(await crypto.subtle.decrypt({ name: algorithm, iv }, key, sealed))
      } catch (cause) {
        throw new SealError('it was sealed in another browser, or is damaged', cause)
      }
    },
  }
}

async function keyOf(database: IDBDatabase): Promise<CryptoKey> {
  const fresh = await crypto.subtle.generateKey({ name: algorithm, length: 256 }, false, [
    'encrypt',
    'decrypt',
  ])
  return new Promise((resolve, reject) => {
    const transaction = database.transaction('keys', 'readwrite', { durability: 'strict' })
    const keys = transaction.objectStore('keys')
    const known: IDBRequest<CryptoKey | undefined> = keys.get(row)
    let key = fresh
    known.onsuccess = () => {
      // The first one counts, of whichever tab.
      if (known.result) key = known.result
      else keys.put(fresh, row)
    }
    transaction.oncomplete = () => resolve(key)
    transaction.onabort = () => reject(transaction.error)
  })
}
