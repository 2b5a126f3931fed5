import { DrainError } from '@drain/core'

/**
 * Insists on a Node that the native SQLite module supports: older ones end without a word when it is used.
 * @throws {DrainError} `node_too_old`
 */
export function assertNodeVersion(version: string): void {
  if (Number.parseInt(version, 10) >= 22) return
  throw new DrainError('node_too_old', `The SQLite ledger needs Node 22 or newer, this is ${version}.`, {
    action: 'Update Node.',
  })
}
