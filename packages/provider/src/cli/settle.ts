/** `drain-provider settle`: claims what a ledger's provider has charged, in a process of its own. */

import { existsSync } from 'node:fs'
import { Deployment, drainChannelAbi, Usdc } from '@drain/core'
import { loadKey } from '@drain/keys/node'
import { type Address, createPublicClient, isAddressEqual, type PublicClient } from 'viem'
import { ChainUnavailableError, createChannelReader } from '../chain/ChannelReader.ts'
import { chainOf } from '../chain/chainOf.ts'
import { type RpcUrlInput, rpcUrlOf } from '../chain/rpcUrlOf.ts'
import { rpcTransport } from '../chain/transport.ts'
import { LedgerFileError } from '../ledger/Errors.ts'
import type { LedgerIdentity, LedgerOpener } from '../ledger/Ledger.ts'
import { createChainCheck } from '../observe/ChainCheck.ts'
import { createFollowing } from '../observe/Following.ts'
import { createHealth } from '../observe/Health.ts'
import { createLogger, type Logger } from '../observe/Log.ts'
import { createMetrics } from '../observe/Metrics.ts'
import { observeLedger } from '../observe/observeLedger.ts'
import { createSettlementFigures } from '../observe/settlementFigures.ts'
import { finalityOf } from '../settle/finality.ts'
import { planRounds, type RoundsInput } from '../settle/rounds.ts'
import { createSettler } from '../settle/Settler.ts'
import * as Terms from '../verify/Terms.ts'
import { type ListenAddress, serveFigures } from './figuresServer.ts'
import { assertIs, type Whose } from './identify.ts'
import { isPostgres, openBooks } from './openBooks.ts'

export type SettleOptions = Whose & {
  usdc?: Address | undefined
  rpcUrl?: RpcUrlInput | undefined
  rounds: RoundsInput
  /** The shortest channels that the provider takes, as a duration. Default: as a paywall's terms have it. */
  minDuration?: string | undefined
  /** USDC. Default 0.01. */
  minPayout?: string | undefined
  /** Wei per gas. */
  maxGasPrice?: bigint | undefined
  /** Blocks on top of one that can't go away any more. */
  finality?: bigint | undefined
  /** Where `/health` and `/metrics` are served. Default: nowhere. */
  http?: ListenAddress | undefined
  /** One round only. */
  once: boolean
}

/**
 * Works until SIGTERM or SIGINT, and then finishes the round that runs. Resolves with whether all is well: `false` when, at the end,
 * something keeps money from arriving.
 * @throws {DrainError}
 */
export async function settle(options: SettleOptions): Promise<boolean> {
  const identity = await identify(options)
  const { chainId, contract, provider } = identity
  const account = await loadKey({ provider })
  const logger = createLogger(undefined)
  const log = (message: string) => logger.warn(message)
  const terms = Terms.fromInput(options.minDuration ? { minDuration: options.minDuration } : undefined)
  const plan = planRounds(options.rounds, terms, chainId)
  const minPayout = Usdc.parse(options.minPayout ?? '0.01')
  const transport = rpcTransport(rpcUrlOf({ chainId, rpcUrl: options.rpcUrl }), { chainId, log })
  const client = createPublicClient({ chain: chainOf(chainId), transport })
  const deployment = await deploymentOf(identity, options.usdc, client)
  const store = (await ledgerAt(options, log))(identity)
  // Nothing is served here and no voucher verified: of these there is nothing to count.
  const metrics = createMetrics({
    ...{ totals: () => store.totals(), chainId, settlement: () => figures },
    ...{ secp256k1: () => 'none', running: () => [], paused: () => 0 },
  })
  const { ledger, lastWrite } = observeLedger(store, metrics, logger)
  const chain = createChainCheck({ client, deployment })
  const channels = createChannelReader({ client, deployment, provider })
  const settler = createSettler({
    ...{ account, client, deployment, ledger, channels, plan, minPayout, metrics, logger },
    finality: finalityOf(chainId, options.finality).depth,
    maxGasPrice: options.maxGasPrice,
  })
  const { transactions, charges } = settler
  const following = createFollowing({ ledger, chain, own: settler.following })
  const figures = createSettlementFigures({
    ...{ ledger, transactions, charges, following, client, provider, now: channels.now },
    worth: settler.worth,
  })
  let isClosing = false
  const health = createHealth({
    ...{ ledger, lastWrite, chain, following, figures },
    settlementProblem: settler.problem,
    isClosing: () => isClosing,
  })
  let server: Awaited<ReturnType<typeof serveFigures>> | undefined
  try {
    await ledger.ready()
    await chain.check().catch((error) => {
      // A node that doesn't answer now may do so later; one of another chain won't.
      if (!(error instanceof ChainUnavailableError)) throw error
      log('the node does not answer; claims wait for it')
    })
    if (options.http) {
      server = await serveFigures(options.http, {
        health,
        metrics,
        about: { provider: account.address, chainId },
      })
      logger.info('serving /health and /metrics', { host: options.http.host, port: server.port })
    }
    const stop = onStop()
    logger.info('settling', { provider, chainId, contract })
    if (options.once) await settler.run()
    else {
      settler.start()
      await stop.told
      logger.info('stopping, once the round that runs has ended')
    }
    isClosing = true
    await settler.stop()
    stop.forget()
    return tell(await settler.problem(), logger)
  } finally {
    await server?.close()
    chain.stop()
    following.stop()
    await ledger.close()
  }
}

/**
 * Whose ledger it is. Opened for reading first: a provider makes a ledger where there is none, but whoever settles one that isn't
 * there has mistyped its name.
 */
async function identify(options: Whose): Promise<LedgerIdentity> {
  const { identity, close } = await openBooks(options.ledger, { schema: options.schema })
  await close()
  assertIs(identity, options)
  return identity
}

/** The known deployment, or one of the current contract, which says itself what its token is. */
async function deploymentOf(
  { chainId, contract }: LedgerIdentity,
  usdc: Address | undefined,
  client: PublicClient,
): Promise<Deployment.Deployment> {
  const isKnown = Deployment.deployments.some(
    (known) => known.chainId === chainId && isAddressEqual(known.contract, contract),
  )
  if (isKnown || usdc) return Deployment.find({ chainId, contract, token: usdc })
  try {
    const call = { address: contract, abi: drainChannelAbi, functionName: 'token' } as const
    return Deployment.from({ chainId, contract, token: await client.readContract(call) })
  } catch (error) {
    throw new ChainUnavailableError(error)
  }
}

async function ledgerAt({ ledger, schema }: Whose, log: (message: string) => void): Promise<LedgerOpener> {
  if (isPostgres(ledger)) {
    const { postgresLedger } = await import('../ledger/postgres.ts')
    return postgresLedger(ledger, { schema, log })
  }
  const { sqliteLedger } = await import('../ledger/sqlite.ts')
  if (!existsSync(ledger)) throw new LedgerFileError(ledger, 'is gone', { action: 'Start again.' })
  return sqliteLedger(ledger, { log, check: 'quick' })
}

/** `told` resolves when the process is told to end, and keeps it alive until then; a second signal ends it at once. */
function onStop(): { told: Promise<void>; forget: () => void } {
  const signals = ['SIGTERM', 'SIGINT'] as const
  const alive = setInterval(() => {}, 2 ** 30)
  let resolve = () => {}
  const told = new Promise<void>((done) => {
    resolve = done
  })
  const forget = () => {
    clearInterval(alive)
    for (const signal of signals) process.off(signal, end)
  }
  const end = () => {
    forget()
    resolve()
  }
  for (const signal of signals) process.on(signal, end)
  return { told, forget }
}

function tell(problem: string | undefined, logger: Logger): boolean {
  if (problem) logger.error('something keeps money from arriving', { problem })
  return problem === undefined
}
