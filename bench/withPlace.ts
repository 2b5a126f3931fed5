/** Where a settlement is measured: a chain, a ledger, a provider with everything by default. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { Usdc } from '@drain/core'
import { createPaywall, type LedgerIdentity, type Paywall, type PaywallConfig } from '@drain/provider'
import { sqliteLedger } from '@drain/provider/sqlite'

/** Above the threshold from which a running channel is claimed by default. */
export const owed = Usdc.parse('12.345678')

/** A chain, and a folder for a ledger on it; both go at the end. */
export async function withPlace<result>(
  work: (place: { chain: LocalChain; path: string; identity: LedgerIdentity }) => Promise<result>,
): Promise<result> {
  await using chain = await startLocalChain({ usdc: '1000000' })
  const folder = mkdtempSync(join(tmpdir(), 'drain-bench-'))
  const { chainId, deployment, accounts } = chain
  const identity = { chainId, contract: deployment.contract, provider: accounts[1].address }
  try {
    return await work({ chain, path: join(folder, 'drain.db'), identity })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** A provider on that chain with everything by default; what it logs is not shown. */
export function providerOn(chain: LocalChain, path: string, options: Partial<PaywallConfig> = {}): Paywall {
  return createPaywall({
    account: chain.accounts[1],
    chainId: chain.chainId,
    rpcUrl: chain.rpcUrl,
    deployment: chain.deployment,
    ledger: sqliteLedger(path),
    log: () => {},
    ...options,
  })
}
