export { askPassword } from './askPassword.ts'
export { runCommand, type Streams, tableOf, UsageError } from './commandLine.ts'
export * as Keystore from './Keystore.ts'
export { loadKey } from './loadKey.ts'
