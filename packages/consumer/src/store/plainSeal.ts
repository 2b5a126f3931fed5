import { bytesToHex, hexToBytes } from 'viem'
import type { ClientStore } from './ClientStore.ts'
import { SealError } from './Errors.ts'

/** Keeps secrets as they are: for stores that nobody else can read. */
export const plainSeal: Pick<ClientStore, 'seal' | 'unseal'> = {
  seal: async (secret) => bytesToHex(secret),
  async unseal(text) {
    if (!/^0x([0-9a-f]{2})*$/i.test(text))
      throw new SealError('it was sealed by another kind of store, or is damaged')
    return hexToBytes(text as `0x${string}`)
  },
}
