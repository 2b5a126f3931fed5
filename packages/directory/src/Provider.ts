/** What the directory knows of a provider. */
import type { Address } from 'viem'

export const categories = [
  'llm',
  'image',
  'audio',
  'video',
  'code',
  'multi-modal',
  'scraping',
  'search',
  'data',
  'scheduling',
  'network',
  'forecasting',
  'other',
] as const
export const protocols = ['drain', 'mpp'] as const
export const tiers = ['bittensor', 'community'] as const
export const states = ['pending', 'approved', 'rejected', 'suspended', 'withdrawn'] as const

export type Category = (typeof categories)[number]
export type Protocol = (typeof protocols)[number]
export type Tier = (typeof tiers)[number]
/** `suspended`: taken off the list by an operator; `withdrawn`: by its owner. */
export type State = (typeof states)[number]

/** What its owner says of it. Empty strings where nothing is said. */
export type Profile = {
  name: string
  description: string
  contactEmail: string
  website: string
  logoUrl: string
  docsUrl: string
  category: Category
  /** At most three more. */
  moreCategories: readonly Category[]
  streaming: boolean
  /** Shortest and longest time that channels may be open, in seconds; `null` for any. */
  minDuration: number | null
  maxDuration: number | null
  /** The path or URL that is paid per request, and its kind; of MPP services only. */
  mppEndpoint: string | null
  mppType: 'llm' | 'rest' | null
  /** SS58 address of the Bittensor miner, where its proof was accepted. */
  hotkey: string | null
}

/** Prices are decimal USDC: per 1,000 tokens, or per request where only the input has one. */
export type Model = {
  id: string
  name: string
  inputPer1kTokens: string | null
  outputPer1kTokens: string | null
}

/** What its server says, as it was last read. */
export type Offer = {
  providerAddress: Address | null
  chainId: number | null
  contract: Address | null
  models: readonly Model[]
  /** The beginning of its docs, for its page. */
  docs: string
}

/** `unknown` until it was asked for the first time. */
export type Status = 'unknown' | 'online' | 'degraded' | 'offline'

export type Health = {
  status: Status
  /** Milliseconds since 1970. */
  lastChecked: number | null
  /** Of the latest answer, and of those of a day, in milliseconds. */
  latencyMs: number | null
  medianMs: number | null
  p95Ms: number | null
  /** Shares of probes that were answered correctly, 0 to 1. */
  uptimeDay: number | null
  uptimeMonth: number | null
  /** What is wrong at the moment, for its owner; empty if nothing is. */
  problem: string
}

/** See `/docs/score`. All 0 to 1. */
export type ScoreParts = {
  reachability: number
  correctness: number
  latency: number
  feedback: number
  /** Base units of payments behind the reports that count, as decimal strings. */
  praised: string
  blamed: string
}

export type Check = { name: string; passed: boolean; detail: string; latencyMs?: number }

export type Review = {
  /** Of the latest connection test. */
  checks: readonly Check[]
  testedAt: number | null
  /** What the operator wrote to the owner. */
  note: string
}

export type ProviderRecord = {
  id: string
  /** Without a slash at the end. */
  apiUrl: string
  protocol: Protocol
  /** The address whose signature changes it, or `token:` and the SHA-256 of a token. */
  owner: string
  chainId: number | null
  state: State
  tier: Tier
  profile: Profile
  offer: Offer
  health: Health
  score: number
  scoreParts: ScoreParts
  review: Review
  /** When its owner signed the latest change; milliseconds. */
  signedAt: number
  createdAt: number
  nextProbeAt: number
  /** Greater than that of all changes before it, of any provider. */
  revision: number
}

export const noOffer: Offer = { providerAddress: null, chainId: null, contract: null, models: [], docs: '' }
export const noHealth: Health = {
  status: 'unknown',
  lastChecked: null,
  latencyMs: null,
  medianMs: null,
  p95Ms: null,
  uptimeDay: null,
  uptimeMonth: null,
  problem: '',
}

/** Before anything is known. */
export const noScore = {
  score: 0.3,
  scoreParts: { reachability: 0.5, correctness: 0.5, latency: 0.5, feedback: 0.5, praised: '0', blamed: '0' },
} as const satisfies Pick<ProviderRecord, 'score' | 'scoreParts'>

const profileParts = {
  description: 'a description',
  logoUrl: 'a logo',
  website: 'a website',
  contactEmail: 'a contact address',
  docsUrl: 'a link to the docs',
} as const

/** What a profile lacks; each of the five is 20 %. Agents see complete ones only. */
export function missingOf(profile: Profile): string[] {
  return Object.entries(profileParts)
    .filter(([name]) => profile[name as keyof typeof profileParts].trim() === '')
    .map(([, text]) => text)
}

export function isOnline({ status }: Health): boolean {
  return status === 'online' || status === 'degraded'
}

/** Whether agents are shown it, online or not. */
export function isListed({ state, protocol, profile, health, offer }: ProviderRecord): boolean {
  return (
    state === 'approved' &&
    missingOf(profile).length === 0 &&
    health.lastChecked !== null &&
    (protocol === 'mpp' || offer.models.length > 0)
  )
}
