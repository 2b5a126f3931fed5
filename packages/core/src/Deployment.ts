/** Contracts that channels live in: where they are, what they can do, how they make ids. */
import type { Address } from 'viem'
import { recorded } from './deployments.generated.ts'
import { FeatureUnavailableError, UnknownDeploymentError } from './Errors.ts'

/** Functions of the contract that a caller may ask for. */
export type Feature =
  | 'open'
  | 'openWithSigner'
  | 'openWithAuthorization'
  | 'claim'
  | 'claimBatch'
  | 'claimAndClose'
  | 'close'
  | 'closeFor'
  | 'cooperativeClose'

export type Deployment = {
  chainId: number
  contract: Address
  /** The USDC contract that deposits are held in. */
  token: Address
  /** Basis points taken from the provider's part of every payout. */
  feeBps: number
  features: readonly Feature[]
  /** `opening`: known before it is mined. `timestamp`: contains the block time, known from the event only. */
  channelIds: 'opening' | 'timestamp'
}

/** What the current contract can do. */
export const currentFeatures = [
  'open',
  'openWithSigner',
  'openWithAuthorization',
  'claim',
  'claimBatch',
  'claimAndClose',
  'close',
  'closeFor',
  'cooperativeClose',
] as const

/**
 * A deployment of the current contract at an address of your own.
 *
 * @example
 * ```ts
 * Deployment.from({ chainId: 31337, contract: '0x…', token: '0x…' })
 * ```
 */
export function from(options: {
  chainId: number
  contract: Address
  token: Address
  feeBps?: number
  features?: readonly Feature[]
  channelIds?: Deployment['channelIds']
}): Deployment {
  return { feeBps: 0, features: currentFeatures, channelIds: 'opening', ...options }
}

/** Whether the contract has a function. */
export function has(deployment: Deployment, feature: Feature): boolean {
  return deployment.features.includes(feature)
}

/** What to do instead where a function is missing. */
const fallbacks: Partial<Record<Feature, string>> = {
  cooperativeClose: 'Wait for the expiry and use close.',
  claimAndClose: 'Use claim, and let the consumer close.',
  claimBatch: 'Use claim, one channel at a time.',
  closeFor: 'Only the consumer can close there, with close.',
  openWithSigner: 'Use open, and sign vouchers with the consumer’s own key.',
  openWithAuthorization: 'Approve the deposit and use open; the consumer needs gas for both.',
}

/**
 * Insists on a function.
 *
 * @throws {FeatureUnavailableError} Says what to do instead.
 */
export function assertHas(deployment: Deployment, feature: Feature): void {
  if (!has(deployment, feature)) {
    throw new FeatureUnavailableError(
      feature,
      `at ${deployment.contract} on chain ${deployment.chainId}`,
      fallbacks[feature],
    )
  }
}

const polygonUsdc = '0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359'

/**
 * Contracts that are live: those recorded in `deployments/`, then the older ones. The first of a chain is its default. All of them sign in the domain `DrainChannel`/`1`.
 */
export const deployments: readonly Deployment[] = [
  ...recorded.map((record) => from(record)),
  {
    chainId: 137,
    contract: '0x0C2B3aA1e80629D572b1f200e6DF3586B3946A8A',
    token: polygonUsdc,
    feeBps: 200,
    features: ['open', 'claim', 'close', 'cooperativeClose'],
    channelIds: 'timestamp',
  },
  {
    chainId: 137,
    contract: '0x1C1918C99b6DcE977392E4131C91654d8aB71e64',
    token: polygonUsdc,
    feeBps: 0,
    features: ['open', 'claim', 'close'],
    channelIds: 'timestamp',
  },
  {
    chainId: 80002,
    contract: '0x61f1C1E04d6Da1C92D0aF1a3d7Dc0fEFc8794d7C',
    token: '0x41E94Eb019C0762f9Bfcf9Fb1E58725BfB0e7582',
    feeBps: 0,
    features: ['open', 'claim', 'close'],
    channelIds: 'timestamp',
  },
]

/** Public nodes of these chains, for those who bring none. They limit their use: bring your own for more than a trial. */
export const publicRpcUrls: Readonly<Record<number, string>> = {
  137: 'https://polygon.drpc.org',
  80002: 'https://polygon-amoy.drpc.org',
}

/**
 * The deployment on a chain: the known one at `contract`, a custom one of the current contract where `contract` is
 * unknown and `token` is given or known, or the chain's default.
 *
 * @throws {UnknownDeploymentError}
 */
export function find(options: {
  chainId: number
  contract?: Address | undefined
  token?: Address | undefined
}): Deployment {
  const { chainId, contract, token } = options
  const onChain = deployments.filter((known) => known.chainId === chainId)
  const known = contract ? onChain.find((one) => isSame(one.contract, contract)) : onChain[0]
  if (known) return token ? { ...known, token } : known
  const usdc = token ?? onChain[0]?.token
  if (!contract || !usdc) throw new UnknownDeploymentError(chainId, contract)
  return from({ chainId, contract, token: usdc })
}

function isSame(a: Address, b: Address): boolean {
  return a.toLowerCase() === b.toLowerCase()
}
