export { localAccount } from './localAccount.ts'
export { loadNative, nativeBindings } from './secp256k1/native.ts'
export { type Secp256k1Name, type SelectedSecp256k1, selectSecp256k1 } from './secp256k1/selectSecp256k1.ts'
export { loadWasm } from './secp256k1/wasm.ts'
