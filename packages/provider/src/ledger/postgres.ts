import { createLedger } from './createLedger.ts'
import type { LedgerOpener } from './Ledger.ts'
import type { PostgresConnection } from './postgresPool.ts'
import { tablesOf } from './postgresSchema.ts'
import { postgresStore } from './postgresStore.ts'

export type { PostgresConnection }

/**
 * A ledger in a PostgreSQL database (13 or later), for any number of processes on any number of machines, which may all
 * serve the same channels.
 *
 * What it acknowledged is on the server's disk. Connects when it is first used: call `ready()` to find out at start. Losing
 * the database means to serve old vouchers again; one that was restored from a backup starts with its channels frozen.
 * How to set one up: "PostgreSQL" in `ledger/README.md`.
 *
 * @example
 * ```ts
 * const ledger = postgresLedger('postgresql://drain@localhost/drain')
 * const paywall = createPaywall({ account, chainId: 137, ledger })
 * ```
 * @throws LedgerUsageError when the connection can't be read.
 */
export function postgresLedger(
  connection: PostgresConnection,
  options: postgresLedger.Options = {},
): LedgerOpener {
  const {
    schema = 'drain',
    timeoutMs = 10_000,
    cachedChannels = 20_000,
    restored = 'freeze',
    allowFsyncOff = false,
    log = console.warn,
    clockOffset = () => 0,
    keepOutcomesMs,
  } = options
  const tables = tablesOf(schema)
  return (identity) => {
    const store = postgresStore(connection, {
      ...{ tables, identity, timeoutMs, restored, allowFsyncOff, log, clockOffset },
      cacheSize: cachedChannels,
    })
    return createLedger(store, { identity, log, keepOutcomesMs })
  }
}

export declare namespace postgresLedger {
  type Options = {
    /** The schema that holds the tables, one for each provider and contract. Default: `drain`. */
    schema?: string | undefined
    /** After how many milliseconds a server that does not answer is given up, and the request refused. Default: 10,000. */
    timeoutMs?: number | undefined
    /** How many channels are kept in memory, at about 2 KB each. Default: 20,000. */
    cachedChannels?: number | undefined
    /**
     * What to do with a ledger that was copied, restored from a backup, or whose server was replaced, be it by its standby.
     * `freeze`, the default, serves none of its open channels again: the vouchers that they paid with since may be missing.
     * `trust` only where nothing can have been lost: a planned move, or synchronous replication.
     */
    restored?: 'freeze' | 'trust' | undefined
    /** For storage that is durable although the server runs with `fsync = off`. Default: false, which refuses such a server. */
    allowFsyncOff?: boolean | undefined
    /** How long the outcome of a request with an idempotency key is kept. Default: 86,400,000, a day. */
    keepOutcomesMs?: number | undefined
    /** How far the clock of the leases is ahead of the server's, in milliseconds: for tests. Default: not at all. */
    clockOffset?: (() => number) | undefined
    /** Takes alarms, and what the operator should know of the database. Default: `console.warn`. */
    log?: ((message: string) => void) | undefined
  }
}
