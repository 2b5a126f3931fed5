/** What an operator decides. */
import { fileURLToPath } from 'node:url'
import type { Deployment } from '@drain/core'
import type { Address, LocalAccount } from 'viem'
import type { Database } from './store/Database.ts'

export type ChainSettings = { deployment: Deployment.Deployment; rpcUrl: string }

/** What is given away to newcomers. Wei of the chain's coin, base units of USDC. */
export type FundSettings = {
  /** Pays; holds the coin and, for invites, the USDC. */
  account: LocalAccount
  chainId: number
  /** The gas station: what a wallet gets, what it must hold, and how much in all within a day. Off without it. */
  gasStation?: { gas: bigint; leastUsdc: bigint; perDay: bigint } | undefined
  /** The most that invites may hand out in all. */
  invites?: { gas: bigint; usdc: bigint } | undefined
  /** Wei per gas that no gift pays more than; one that no block takes for that waits. 500 gwei by default. */
  maxGasPrice?: bigint | undefined
}

export type Settings = {
  /** Where the public reaches it: `https://market.example`, without a slash at the end. */
  origin: string
  database: Database
  chains: readonly ChainSettings[]
  /** Who may decide: wallets that sign, and the SHA-256 of a bearer token of at least 32 characters. */
  operators: { addresses: readonly Address[]; tokenHash?: string | undefined }
  /** Whether somebody looks at new listings; `false` lists what passes the connection test. */
  review: boolean
  /** Whether listings may be on this machine: for development. */
  allowLoopback: boolean
  /** Signs this instance's own probes; none are made without it. */
  prober?: LocalAccount | undefined
  /** Whose signed reports are believed, beside the own prober's. */
  probers: readonly Address[]
  /** Milliseconds between two probes of a provider, five minutes by default, and how far they are spread. */
  probeEveryMs: number
  /** Blocks after which a payment is taken for final. */
  confirmations: number
  funds?: FundSettings | undefined
  /** How many proxies stand before it that add to `X-Forwarded-For`; 0 believes the socket only. */
  proxies: number
  /** What one network may ask for in a minute; 600 by default. */
  requestsPerMinute: number
  /** The folder that the pages' scripts were built into. */
  assets: string
}

const defaults = {
  chains: [],
  operators: { addresses: [] },
  review: true,
  allowLoopback: false,
  probers: [],
  probeEveryMs: 300_000,
  confirmations: 32,
  proxies: 0,
  requestsPerMinute: 600,
  assets: fileURLToPath(new URL('../dist/assets', import.meta.url)),
} as const satisfies Partial<Settings>

export type SettingsGiven = Pick<Settings, 'origin' | 'database'> & {
  [name in keyof Settings]?: Settings[name] | undefined
}

/** @throws Error that names what can't be so. */
export function completeSettings(given: SettingsGiven): Settings {
  const isGiven = ([, value]: [string, unknown]) => value !== undefined
  const changes: Partial<Settings> = Object.fromEntries(Object.entries(given).filter(isGiven))
  const settings: Settings = { ...defaults, origin: given.origin, database: given.database, ...changes }
  const { origin, operators, probeEveryMs } = settings
  if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
    throw new Error(`The origin ${origin} is none, such as https://market.example.`)
  }
  if (operators.tokenHash !== undefined && !/^[0-9a-f]{64}$/.test(operators.tokenHash)) {
    throw new Error('The hash of the operator’s token is no SHA-256 in hexadecimal.')
  }
  if (!(probeEveryMs >= 1_000)) throw new Error('probeEveryMs must be 1000 at least.')
  return settings
}
