import type { Address } from 'viem'
import type { OutwardFetch } from '../net/outwardFetch.ts'
import type { PriceList } from './readPricing.ts'

/** `payment`: a proper 402. The others by their words. */
export type CheckName = 'reachable' | 'pricing' | 'address' | 'models' | 'docs' | 'payment'

export type ConnectionCheck = {
  name: CheckName
  passed: boolean
  /** What was found, or what to do, for the owner. One line, printable, with no more than 200 characters of a stranger's. */
  detail: string
  latencyMs?: number | undefined
}

/** What a provider's server says of itself. */
export type DrainOffer = PriceList & {
  protocol: 'drain'
  /** What the 402 asked for the smallest chat, in USDC base units. */
  quote?: string | undefined
}

/** What the challenges of an MPP service say; of the first one where it isn't said otherwise. */
export type MppOffer = {
  protocol: 'mpp'
  method: string
  intent: string
  realm: string
  /** In units of the currency, as the method has them. */
  amount: string
  currency?: string | undefined
  recipient?: string | undefined
  chainId?: number | undefined
  /** All ways to pay, `method/intent`. */
  methods: readonly string[]
  /** How the 402 was got. */
  httpMethod: 'GET' | 'POST'
  models: readonly never[]
}

export type ConnectionTest = {
  passed: boolean
  /** All of the protocol's, in their order; those that could not be tried have not passed. */
  checks: readonly ConnectionCheck[]
  offer?: DrainOffer | MppOffer | undefined
  /** The first 20,000 characters, without what can't be seen. */
  docs?: string | undefined
  /** Of the first answer; `null` where none came. */
  latencyMs: number | null
}

export type Target = {
  /** Where the API stands; it may have a path. */
  apiUrl: string
  protocol: 'drain' | 'mpp'
  /** Who should be paid. Without it whoever the price list names. */
  providerAddress?: Address | undefined
  /** Of MPP services: what is paid, on the same origin; a path, or a whole URL. `apiUrl` itself by default. */
  mppEndpoint?: string | null | undefined
  /** Of MPP services: `llm` is asked with a chat, `rest` with a bare request. */
  mppType?: 'llm' | 'rest' | null | undefined
  /** Of MPP services: where their docs are, beside `/llms.txt` and `/openapi.json`. */
  docsUrl?: string | null | undefined
}

export type TestOptions = Target & {
  outward: OutwardFetch
  /** Told of each check as it ends. */
  onCheck?: ((check: ConnectionCheck) => void) | undefined
  /** Whether agents know the contract: a deposit in any other is lost. All are taken by default. */
  isKnownContract?: ((chainId: number, contract: Address) => boolean) | undefined
  /** Milliseconds that each answer may take. Default 10,000. */
  timeoutMs?: number | undefined
  /** Milliseconds that all answers may take together. They have no end of their own by default. */
  withinMs?: number | undefined
}
