import { DrainError } from '@drain/core'
import type { RpcUrlInput } from '../chain/rpcUrlOf.ts'
import { secretFile } from './secretFile.ts'

type Env = Record<string, string | undefined>

/**
 * Where the nodes are: as given, or by `DRAIN_RPC_URL`, or in the file `DRAIN_RPC_URL_FILE`, which is read again when it changes.
 * Several stand in one text with commas or white space between them. @throws {DrainError} `rpc_ambiguous`
 */
export function nodesOf(given: string | undefined, env: Env = process.env): RpcUrlInput | undefined {
  if (given) return given
  const { DRAIN_RPC_URL: urls, DRAIN_RPC_URL_FILE: file } = env
  if (urls && file) {
    throw new DrainError('rpc_ambiguous', 'Both DRAIN_RPC_URL and DRAIN_RPC_URL_FILE are set.', {
      action: 'Unset one of them.',
    })
  }
  return file ? secretFile(file) : urls || undefined
}
