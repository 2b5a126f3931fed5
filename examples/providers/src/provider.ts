/** What every provider of this folder is started with, and how it listens. */
import type { LogInput, Paywall, PaywallConfig } from '@drain-protocol/sdk'
import { type RunningServer, serve } from '@drain-protocol/sdk/node'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import type { Address, LocalAccount } from 'viem'
import { problem } from './problem.ts'

export type ProviderOptions = {
  /** The account that channels pay. Trap: two providers on one account must share their ledger. */
  account: LocalAccount
  chainId: number
  rpcUrl: string
  contractAddress: Address
  usdcAddress: Address
  /** 0, the default, for any free one. */
  port?: number | undefined
  /** A file named after the provider by default. */
  ledger?: PaywallConfig['ledger'] | undefined
  log?: LogInput | undefined
}

/** A provider that listens. `close` lets requests that run end. */
export type RunningProvider = Pick<RunningServer, 'url' | 'close'>

/**
 * Serves the routes of `app` and the protocol's own (`/v1/pricing`, `/v1/docs`, `/v1/close-channel`, …).
 *
 * @throws {DrainError} When the chain is another one or has no such contract, or the ledger is unsound.
 */
export async function listen(paywall: Paywall, app: Hono, port = 0): Promise<RunningProvider> {
  app.notFound(() => problem(404, 'not_found', 'There is nothing here. GET /v1/docs tells what there is.'))
  app.onError((error) => {
    paywall.logger.warn(`a request failed: ${error.message}`)
    return problem(500, 'internal_error', 'The request failed.')
  })
  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false })
  return serve(paywall, listener, { port, signals: false })
}

export { Hono }
