/**
 * What stands in a file, without white space around it, read anew at each call: for secrets that are exchanged while the process
 * runs, such as `adminToken` or `rpcUrl`. Replace the file with a rename, so that nobody reads half of it. `undefined` while it
 * can't be read.
 *
 * @example
 * ```ts
 * createPaywall({ adminToken: secretFile('/run/secrets/admin-token'), rpcUrl: secretFile('/run/secrets/rpc-urls'), … })
 * ```
 */
export function secretFile(path: string): () => string | undefined {
  const { readFileSync } = process.getBuiltinModule('node:fs')
  return () => {
    try {
      return readFileSync(path, 'utf8').trim()
    } catch {
      return undefined
    }
  }
}
