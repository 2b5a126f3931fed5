import { Signature } from '@drain/core'
import { type Hex, hashMessage, hashTypedData, hexToBytes, type PrivateKeyAccount } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { type Secp256k1Name, type SelectedSecp256k1, selectSecp256k1 } from './secp256k1/selectSecp256k1.ts'

/**
 * viem's `privateKeyToAccount` with signatures by libsecp256k1: in Node the native module, elsewhere WebAssembly, which the
 * first signature starts to load; the JavaScript implementation stands in until then, and where neither loads. All make the
 * same signatures (RFC 6979, low s). Nothing that can be seen of the account has the key in it.
 *
 * Trap: `setSignEntropy` of viem has no effect on it.
 *
 * @example
 * ```ts
 * const account = localAccount(privateKey)
 * await account.ready() // only where the first signatures must be fast already
 * ```
 * @throws {DrainError} `key_invalid`; `secp256k1_unavailable` when `native` is asked for and doesn't load
 */
export function localAccount(privateKey: Hex, options: localAccount.Options = {}): localAccount.ReturnValue {
  const key = keyBytes(privateKey)
  const account = viemAccount(privateKey)
  const backend = options.secp256k1 ? selectSecp256k1(options.secp256k1) : undefined
  const signDigest = async (digest: Hex) => {
    return Signature.sign(hexToBytes(digest), key, backend ?? fastest())
  }
  return {
    ...account,
    ready: () => (backend ?? fastest()).ready(),
    sign: ({ hash }) => signDigest(hash),
    signMessage: async ({ message }) => signDigest(hashMessage(message)),
    signTypedData: async (typedData) => signDigest(hashTypedData(typedData)),
  }
}

export declare namespace localAccount {
  type Options = {
    /** Insists on one library. Default: the fastest there is. */
    secp256k1?: Secp256k1Name | undefined
  }
  type ReturnValue = PrivateKeyAccount & {
    /** Resolves when the fastest library there is has loaded. @throws {DrainError} `secp256k1_unavailable` */
    ready(): Promise<void>
  }
}

/** Shared by all accounts, and chosen when it is needed first: nobody loads WebAssembly who doesn't sign. */
let chosen: SelectedSecp256k1 | undefined

function fastest(): SelectedSecp256k1 {
  chosen ??= selectSecp256k1()
  return chosen
}

function keyBytes(privateKey: Hex): Uint8Array {
  if (!/^0x[0-9a-fA-F]{64}$/.test(privateKey)) throw Signature.invalidKey()
  return hexToBytes(privateKey)
}

/** Errors of what checks a key may quote it. */
function viemAccount(privateKey: Hex): PrivateKeyAccount {
  try {
    return privateKeyToAccount(privateKey)
  } catch {
    throw Signature.invalidKey()
  }
}
