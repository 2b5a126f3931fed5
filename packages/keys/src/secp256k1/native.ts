import { Signature } from '@drain/core'

/** What is used of the `secp256k1` package's binding to libsecp256k1. */
type Bindings = {
  ecdsaRecover(rs: Uint8Array, recovery: number, digest: Uint8Array, compressed: boolean): Uint8Array
  ecdsaSign(digest: Uint8Array, privateKey: Uint8Array): { signature: Uint8Array; recid: number }
}

/**
 * Native libsecp256k1, or `undefined` where it isn't installed, has no binary for the platform, or there are no native
 * modules at all. Only the package's bindings are asked for: its own fallback is another library (elliptic).
 *
 * Loaded through Node's own `require`, which bundlers don't follow: a browser's bundle has nothing of it.
 */
export function loadNative(): Signature.Secp256k1 | undefined {
  let bindings: Bindings
  try {
    bindings = nodeRequire()(bindingsModule)
  } catch {
    return undefined
  }
  return {
    name: 'native',
    recoverPublicKey(digest, rs, recovery) {
      try {
        return bindings.ecdsaRecover(rs, recovery, digest, false)
      } catch {
        return undefined
      }
    },
    sign(digest, privateKey) {
      let signed: ReturnType<Bindings['ecdsaSign']>
      try {
        signed = bindings.ecdsaSign(digest, privateKey)
      } catch {
        throw Signature.invalidKey()
      }
      return { rs: signed.signature, recovery: Signature.recoveryBit(signed.recid) }
    },
  }
}

/** The file to `require` in another thread for the same library. @throws Where it isn't installed. */
export function nativeBindings(): string {
  return nodeRequire().resolve(bindingsModule)
}

const bindingsModule = 'secp256k1/bindings.js'

function nodeRequire(): NodeJS.Require {
  const { createRequire } = process.getBuiltinModule('node:module')
  // In the build for `require` there is a `__filename`, in the other an `import.meta`.
  return createRequire(typeof __filename === 'string' ? __filename : import.meta.url)
}
