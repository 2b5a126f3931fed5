import { DrainError } from '@drain/core'
import { type Address, isAddressEqual } from 'viem'
import type { LedgerIdentity } from '../ledger/Ledger.ts'

/** Which ledger is meant. It says itself whose it is; what is given beside must be the same. */
export type Whose = {
  /** A file of SQLite or a URL of PostgreSQL. */
  ledger: string
  schema?: string | undefined
  chainId?: number | undefined
  contract?: Address | undefined
  provider?: Address | undefined
}

/** @throws {DrainError} `ledger_of_another` */
export function assertIs(identity: LedgerIdentity, { chainId, contract, provider }: Whose): void {
  const pairs = [
    ['chain', identity.chainId, chainId, chainId === identity.chainId],
    ['contract', identity.contract, contract, contract && isAddressEqual(contract, identity.contract)],
    ['provider', identity.provider, provider, provider && isAddressEqual(provider, identity.provider)],
  ] as const
  for (const [name, actual, given, isSame] of pairs) {
    if (given === undefined || isSame) continue
    throw new DrainError('ledger_of_another', `The ledger is of ${name} ${actual}, not of ${given}.`, {
      action: 'Name the ledger that you mean, or leave that option out.',
    })
  }
}
