/** Changes in this directory that a wallet signs. */
import { DirectoryAction } from '@drain/core'
import type { Address } from 'viem'
import { call } from './api.ts'
import { clientOf, connect, type Wallet } from './wallets.ts'

/** Who signs, and on which chain. */
export type Signer = { wallet: Wallet; account: Address; chainId: number }

/** What `/api/directory/config` says, among others. */
type Config = { origin: string; chains: readonly number[] }

let config: Promise<Config> | undefined
function readConfig(): Promise<Config> {
  config ??= call<Config>('GET', '/api/directory/config').catch((error) => {
    config = undefined
    throw error
  })
  return config
}

/** Connects a wallet on a chain whose signatures this directory reads. */
export async function connectSigner(wallet: Wallet): Promise<Signer> {
  const { chains } = await readConfig()
  return { wallet, ...(await connect(wallet, chains)) }
}

/** A body with the three fields that say who wants it. */
export async function signAction(
  { wallet, account, chainId }: Signer,
  {
    action,
    subject,
    body,
    isBare = false,
  }: {
    action: string
    subject: string
    body: Record<string, unknown>
    /** Whether the chain's id is sent along only, and not part of what is signed. */
    isBare?: boolean
  },
): Promise<Record<string, unknown>> {
  const { origin: directory } = await readConfig()
  const issuedAt = Date.now()
  const sent = { ...body, chainId }
  const typedData = DirectoryAction.typedData(
    { directory, action, subject, body: isBare ? body : sent, issuedAt: BigInt(issuedAt) },
    { chainId },
  )
  const signature = await clientOf(wallet, { account, chainId }).signTypedData({ account, ...typedData })
  return { ...sent, issuedAt, signature }
}
