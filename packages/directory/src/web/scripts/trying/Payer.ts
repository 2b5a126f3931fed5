/** The paying client of a connected wallet, within the limits of the page. */
import {
  type ClientChannel,
  createDrainClient,
  type DrainClient,
  getUsdcBalance,
  indexedDbStore,
} from '@drain/consumer'
import { Usdc } from '@drain/core'
import type { Address } from 'viem'
import type { Trial } from '../../try/Trial.ts'
import { clientOf, type Wallet } from '../wallets.ts'
import type { Limits } from './Limits.ts'

export type Payer = {
  account: Address
  client: DrainClient
  limits: Limits
  /** USDC of the wallet, in decimal. */
  balance(): Promise<string>
  /** The open channel of the page's provider. */
  channel(): Promise<ClientChannel | undefined>
}

export function createPayer(
  wallet: Wallet,
  account: Address,
  { deployment, apiUrl }: Trial,
  limits: Limits,
): Payer {
  const { origin } = new URL(apiUrl)
  const walletClient = clientOf(wallet, { account, chainId: deployment.chainId })
  const client = createDrainClient({
    ...{ walletClient, deployment, gasless: true, store: indexedDbStore() },
    limits: {
      ...limits,
      providers: [origin],
      // A wallet is asked for a deposit when somebody pressed the button for it, never because a request needs more.
      confirm: (payment) => payment.kind === 'request' || payment.byHand,
    },
  })
  return {
    account,
    client,
    limits,
    async balance() {
      return Usdc.format(await getUsdcBalance(walletClient, { deployment, account }))
    },
    async channel() {
      const now = BigInt(Math.floor(Date.now() / 1_000))
      const channels = await client.channels()
      return channels.find((one) => one.origin === origin && one.state === 'open' && one.expiry > now)
    },
  }
}
