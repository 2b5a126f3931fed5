/** Which library signs, and recovers signers: chosen once, at the start. */
import { DrainError, Signature } from '@drain/core'
import { loadNative } from './native.ts'
import { loadWasm } from './wasm.ts'

/** `native`: libsecp256k1 as a native module. `wasm`: the same as WebAssembly. `noble`: JavaScript. */
export type Secp256k1Name = 'native' | 'wasm' | 'noble'

/** A backend in use. WebAssembly loads in the background: `noble`, slower and with the same answers, stands in so long. */
export type SelectedSecp256k1 = Signature.Secp256k1 & {
  /** What is used now. */
  readonly name: Secp256k1Name
  /** Resolves when the choice is final. @throws {DrainError} `secp256k1_unavailable` */
  ready(): Promise<void>
}

/**
 * The named backend, or the fastest there is: native, WebAssembly, JavaScript. They make and accept the same
 * signatures, and recover some 35, 11 and 1 times as fast.
 *
 * @throws {DrainError} `secp256k1_unavailable` when `native` is asked for and doesn't load; `ready` rejects for `wasm`.
 */
export function selectSecp256k1(choice?: Secp256k1Name | undefined): SelectedSecp256k1 {
  let backend = Signature.noble
  let ready = Promise.resolve()
  const native = choice === undefined || choice === 'native' ? loadNative() : undefined
  if (native) backend = native
  else if (choice === 'native') throw unavailable('native', 'Install the package secp256k1')
  else if (choice !== 'noble') {
    ready = loadWasm().then((wasm) => {
      if (wasm) backend = wasm
      else if (choice === 'wasm') throw unavailable('wasm', 'Install the package @bitauth/libauth')
    })
    ready.catch(() => {}) // told by `ready`, to those who ask
  }
  return {
    get name() {
      return backend.name as Secp256k1Name
    },
    recoverPublicKey: (digest, rs, recovery) => backend.recoverPublicKey(digest, rs, recovery),
    sign: (digest, privateKey) => backend.sign(digest, privateKey),
    ready: () => ready,
  }
}

function unavailable(name: Secp256k1Name, install: string): DrainError {
  return new DrainError('secp256k1_unavailable', `The ${name} secp256k1 library does not load here.`, {
    action: `${install}, or leave the choice open.`,
  })
}
