import type { Hex } from 'viem'
import type { Account, Lease } from './Account.ts'
import { createLedger } from './createLedger.ts'
import { LedgerUnavailableError } from './Errors.ts'
import type { LedgerOpener } from './Ledger.ts'
import type { LedgerRows, LedgerStore } from './LedgerStore.ts'

/**
 * A ledger that forgets everything when the process ends, and says so when opened: for tests and first steps.
 *
 * After a restart it knows no channel and takes every old voucher again. Use `sqliteLedger` where money matters.
 */
export function memoryLedger(options: memoryLedger.Options = {}): LedgerOpener {
  const { now = Date.now, log = console.warn } = options
  return (identity) => {
    log(
      'The ledger is kept in memory: it forgets what was paid for when this process ends. Not for real money.',
    )
    return createLedger(memoryStore(now), { identity, log })
  }
}

export declare namespace memoryLedger {
  type Options = {
    /** The clock of the leases, in milliseconds. Default: `Date.now`. */
    now?: (() => number) | undefined
    /** Takes what the operator should know: this warning, and alarms. Default: `console.warn`. */
    log?: ((message: string) => void) | undefined
  }
}

function memoryStore(now: () => number): LedgerStore {
  const accounts = new Map<Hex, Account>()
  const leases = new Map<Hex, Map<bigint, Lease>>()
  let closed = false

  const rows: LedgerRows = {
    now,
    account: (channelId) => accounts.get(channelId),
    lease: (channelId, nonce) => leases.get(channelId)?.get(nonce),
    leases: (channelId, endingBy = Number.POSITIVE_INFINITY) =>
      [...(leases.get(channelId)?.values() ?? [])].filter((lease) => lease.endsAt <= endingBy),
    write(account, changed) {
      accounts.set(account.channelId, account)
      const held = leases.get(account.channelId) ?? new Map<bigint, Lease>()
      leases.set(account.channelId, held)
      for (const lease of changed) {
        if (lease.stage === 'ended') held.delete(lease.nonce)
        else held.set(lease.nonce, lease)
      }
    },
  }

  function assertOpen(): void {
    if (closed) throw new LedgerUnavailableError('it was closed')
  }

  async function run<result>(work: (rows: LedgerRows) => result): Promise<result> {
    assertOpen()
    return work(rows)
  }

  return {
    transact: run,
    read: run,
    *pages({ status, unclaimedOver }) {
      assertOpen()
      yield [...accounts.values()].filter(
        (account) =>
          (status === undefined || account.status === status) &&
          (unclaimedOver === undefined || account.charged - account.claimed > unclaimedOver),
      )
    },
    async close() {
      closed = true
    },
  }
}
