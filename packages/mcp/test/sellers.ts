/** Providers that sell whatever a test wants, honest in their payments, and servers that are honest in nothing. */
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { evmCharge } from '@drain/mpp/server'
import { createPaywall, memoryLedger, type PaywallConfig } from '@drain/provider'
import { type PaidListener, paid, serve } from '@drain/provider/node'
import type { LocalAccount } from 'viem'
import type { Market } from './market.ts'

export type Seller = { url: string; close(): Promise<void> }

/** A provider with a real paywall: every request costs `price`, and `work` answers it. */
export async function sell(
  { chain }: Market,
  account: LocalAccount,
  {
    price = '0.001',
    charges = false,
    ...config
  }: Partial<PaywallConfig> & { price?: string; charges?: boolean },
  work: PaidListener,
): Promise<Seller> {
  const { deployment, chainId, rpcUrl } = chain
  const paywall = createPaywall({
    ...{ account, chainId, rpcUrl, log: () => {}, ledger: memoryLedger() },
    contractAddress: deployment.contract,
    usdcAddress: deployment.token,
    graceMs: 500,
    minPayout: '0.000001',
    ...(charges && { schemes: [evmCharge({ nativePrice: '0.000001' })] }),
    ...config,
  })
  return serve(paywall, paid(paywall, price, work), { port: 0, signals: false })
}

/** A server of any kind. */
export async function listen(listener: RequestListener): Promise<Seller> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
