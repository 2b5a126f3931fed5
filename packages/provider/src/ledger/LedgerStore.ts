import type { Hex } from 'viem'
import type { Account, Lease } from './Account.ts'
import type { ChannelFilter } from './Ledger.ts'

/** Where `createLedger` keeps its accounts: it reads and writes rows, and decides nothing. */
export interface LedgerStore {
  /**
   * Runs `work` with nobody else reading or writing, in this process or another, and resolves once what it wrote is
   * durable. If `work` throws, it has written nothing, and others are not affected.
   * @throws LedgerUnavailableError
   */
  transact<result>(work: (rows: LedgerRows) => result): Promise<result>
  /**
   * Runs `look` on what is durable now.
   * @throws LedgerUnavailableError
   */
  read<result>(look: (rows: Omit<LedgerRows, 'write'>) => result): Promise<result>
  /** The accounts that match, oldest first, in portions small enough to be read in one go; some may be empty. */
  pages(filter: ChannelFilter): Iterable<readonly Account[]>
  close(): Promise<void>
}

/** The rows as one operation sees them. Ids are lower case. */
export interface LedgerRows {
  /** The store's clock, in milliseconds: the only one that leases know. */
  now(): number
  account(channelId: Hex): Account | undefined
  lease(channelId: Hex, nonce: bigint): Lease | undefined
  /** The channel's leases; with `endingBy`, those whose `endsAt` is not later. */
  leases(channelId: Hex, endingBy?: number): readonly Lease[]
  /** At most once in an operation, as its last step. Leases that have ended are deleted. */
  write(account: Account, leases: readonly Lease[]): void
}
