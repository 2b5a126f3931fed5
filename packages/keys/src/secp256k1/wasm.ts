import { Signature } from '@drain/core'

/**
 * libsecp256k1 as WebAssembly (libauth's build of it, which brings its binary along), or `undefined` where it isn't
 * installed or WebAssembly may not be compiled.
 */
export async function loadWasm(): Promise<Signature.Secp256k1 | undefined> {
  try {
    // The one module that is needed, not the package, which is a hundred times as large.
    const { instantiateSecp256k1 } = await import('@bitauth/libauth/build/lib/crypto/secp256k1.js')
    const library = await instantiateSecp256k1()
    return {
      name: 'wasm',
      recoverPublicKey(digest, rs, recovery) {
        const key = library.recoverPublicKeyUncompressed(rs, recovery, digest)
        return typeof key === 'string' ? undefined : key
      },
      sign(digest, privateKey) {
        const signed = library.signMessageHashRecoverableCompact(privateKey, digest)
        if (typeof signed === 'string') throw Signature.invalidKey()
        return { rs: signed.signature, recovery: Signature.recoveryBit(signed.recoveryId) }
      },
    }
  } catch {
    return undefined
  }
}
