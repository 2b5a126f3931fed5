import { Deployment, DrainError, Usdc } from '@drain/core'
import { createPublicClient, type PublicClient } from 'viem'
import type { RpcUrlInput } from '../chain/rpcUrlOf.ts'
import { rpcTransport } from '../chain/transport.ts'
import type { LedgerIdentity } from '../ledger/Ledger.ts'
import { claimCostOf, parseNativePrice } from '../settle/gasCost.ts'
import type { ClaimCost } from '../settle/plan.ts'
import { readStatus, type StatusReport } from '../settle/status.ts'
import { assertIs, type Whose } from './identify.ts'
import { openBooks } from './openBooks.ts'

export type ReportOptions = Whose & {
  /** Without one no node is asked. */
  rpcUrl?: RpcUrlInput | undefined
  /** USDC, as the worker has them. Default 10 and 0.01. */
  threshold?: string | undefined
  minPayout?: string | undefined
  /** What the chain's own coin costs, in USDC, as the worker has it. Default: a high price. */
  nativePrice?: string | undefined
}

/**
 * What a ledger's settlement has done and what comes next. A node that does not answer is said to `log` and done without.
 * @throws {DrainError}
 */
export async function readReport(
  options: ReportOptions,
  log: (message: string) => void,
): Promise<StatusReport> {
  const threshold = Usdc.parse(options.threshold ?? '10')
  const minPayout = Usdc.parse(options.minPayout ?? '0.01')
  const books = await openBooks(options.ledger, { schema: options.schema, log })
  try {
    const { identity, ledger } = books
    assertIs(identity, options)
    const { rpcUrl } = options
    const nativePrice = parseNativePrice(options.nativePrice, identity.chainId)
    const client = rpcUrl
      ? createPublicClient({ transport: rpcTransport(rpcUrl, { chainId: identity.chainId }) })
      : undefined
    const seen = client ? await look(client, identity, nativePrice) : undefined
    if (client && !seen) log('The node does not answer: what only it knows is left out.')
    const local = BigInt(Math.floor(Date.now() / 1_000))
    return await readStatus({
      ...{ identity, ledger, client: seen ? client : undefined },
      worth: { threshold, minPayout, cost: seen?.cost ?? { fixed: 0n, each: 0n, feeBps: 0n } },
      now: seen && seen.time > local ? seen.time : local,
    })
  } finally {
    await books.close()
  }
}

/** The time of the head, and what claims cost. @throws {DrainError} `wrong_chain` */
async function look(
  client: PublicClient,
  { chainId, contract }: LedgerIdentity,
  nativePrice: bigint,
): Promise<{ time: bigint; cost: ClaimCost } | undefined> {
  const answers = await Promise.all([client.getChainId(), client.getBlock(), client.getGasPrice()]).catch(
    () => undefined,
  )
  if (!answers) return undefined
  const [actual, { timestamp: time }, price] = answers
  if (actual !== chainId) {
    throw new DrainError('wrong_chain', `The node is on chain ${actual}, and the ledger is of ${chainId}.`, {
      action: 'Name a node of that chain.',
    })
  }
  const known = Deployment.deployments.find(
    (one) => one.chainId === chainId && one.contract.toLowerCase() === contract,
  )
  const kind = known ?? { features: Deployment.currentFeatures, feeBps: 0 }
  return { time, cost: claimCostOf(kind, price, nativePrice) }
}
