import { Duration, Pricing, Quote, Usdc } from '@drain/core'
import type { ReplayableRequest } from './ReplayableRequest.ts'
import { readJson } from './readJson.ts'

/** What a provider wants of a channel; what it doesn't say is open. Amounts in base units, durations in seconds. */
export type Terms = {
  minDeposit?: bigint | undefined
  minDuration?: bigint | undefined
  recommendedDuration?: bigint | undefined
  maxDuration?: bigint | undefined
  /** The smallest deposit that the provider opens a channel for, at its own cost. */
  minRelayed?: bigint | undefined
}

/** What a request may cost at most, in base units, and for a metered stream in what steps it is paid. */
export type Price = Pick<Quote.StreamQuote, 'most' | 'first'> & {
  /** Where less than the whole is enough to begin: the steps that follow. */
  steps?: Pick<Quote.StreamQuote, 'step' | 'tokens'> | undefined
}

/** A price that is paid as a whole. */
export function whole(amount: bigint): Price {
  return { most: amount, first: amount }
}

/** What is known of an origin's prices: its `/v1/pricing`, read once, and what its 402s quoted. */
export type PriceList = {
  /** Reads `/v1/pricing` unless it has been; never fails. */
  load(): Promise<void>
  /** A quote differed from the list: `load` reads it again, but not more than once a minute. */
  outdated(): void
  /** What a request costs, where that is known without asking. */
  price(request: ReplayableRequest): Price | undefined
  /** Remembers what the provider quoted. */
  learn(request: ReplayableRequest, quote: bigint): void
  /** The provider doesn't begin the streams of this request's model for less than their whole price. */
  learnWhole(request: ReplayableRequest): void
  terms(): Terms
  /** Who the list says is to be paid, and where. */
  offer(): Record<'provider' | 'contract' | 'chainId', unknown>
  /** What the provider says that it can do beside selling: `vouchers`, `idempotency`, `open`. */
  has(feature: string): boolean
}

/** How long to wait for a price list, in milliseconds; without one, requests are asked for their price. */
const patience = 10_000

/** How many routes' prices are remembered: paths may carry ids. */
const mostRoutes = 1_000

/** How long a list, or the lack of one, is kept at least, in milliseconds. */
const leastAge = 60_000

export function createPriceList(
  origin: string,
  fetch: typeof globalThis.fetch,
  /** Unix milliseconds. */
  now: () => number,
): PriceList {
  let loading: Promise<void> | undefined
  let loadedAt = 0
  let isOutdated = false
  let models = new Map<string, Pricing.Pricing>()
  let terms: Terms = {}
  let features = new Set<unknown>()
  let offer: Record<'provider' | 'contract' | 'chainId', unknown> = {
    provider: undefined,
    contract: undefined,
    chainId: undefined,
  }
  const wholeModels = new Set<unknown>()
  const quoted = new Map<string, bigint>()

  async function read(): Promise<void> {
    loadedAt = now()
    isOutdated = false
    try {
      const response = await fetch(`${origin}/v1/pricing`, {
        redirect: 'manual',
        headers: { Accept: 'application/json' },
        signal: AbortSignal.timeout(patience),
      })
      const json = await readJson(response)
      models = readModels(json.models)
      terms = readTerms(json.terms)
      offer = { provider: json.provider, contract: json.contract, chainId: json.chainId }
      features = new Set(Array.isArray(json.features) ? json.features : [])
    } catch {
      // The request works without: its 402 says what it costs.
      isOutdated = true
    }
  }

  return {
    load() {
      if (!loading || (isOutdated && now() - loadedAt >= leastAge)) loading = read()
      return loading
    },
    outdated() {
      isOutdated = true
    },
    price(request) {
      const chat = parseChat(request)
      const known = chat ? priceOf(chat, models) : undefined
      const quote = known ? undefined : quoted.get(route(request))
      if (quote !== undefined) return whole(quote)
      const isWhole = !known?.steps || wholeModels.has(chat?.model) || !features.has('vouchers')
      return known && isWhole ? whole(known.most) : known
    },
    learn(request, quote) {
      // A chat's price depends on its body; another body's is no guess at all.
      if (parseChat(request) !== undefined) return
      quoted.set(route(request), quote)
      const [oldest] = quoted.keys()
      if (quoted.size > mostRoutes && oldest !== undefined) quoted.delete(oldest)
    },
    learnWhole(request) {
      wholeModels.add(parseChat(request)?.model)
    },
    terms: () => terms,
    offer: () => offer,
    has: (feature) => features.has(feature),
  }
}

function route({ method, url }: ReplayableRequest): string {
  return `${method} ${url.pathname}`
}

type Chat = { messages: unknown[]; model?: unknown; stream?: unknown }

function parseChat(request: ReplayableRequest): Chat | undefined {
  const text = request.method === 'POST' ? request.text() : undefined
  if (!text?.includes('"messages"')) return undefined
  try {
    const body: unknown = JSON.parse(text)
    const isChat = typeof body === 'object' && body !== null && Array.isArray((body as Chat).messages)
    return isChat ? (body as Chat) : undefined
  } catch {
    return undefined
  }
}

function priceOf(chat: Chat, models: Map<string, Pricing.Pricing>): Price | undefined {
  const pricing = typeof chat.model === 'string' ? models.get(chat.model) : undefined
  try {
    if (pricing?.type === 'flat') return whole(Pricing.cost(pricing))
    if (pricing?.type !== 'tokens') return undefined
    const quote = Quote.chat(pricing, chat)
    if (chat.stream !== true) return whole(quote.amount)
    const { most, first, step, tokens } = Quote.inSteps(pricing, quote)
    return first < most ? { most, first, steps: { step, tokens } } : whole(most)
  } catch {
    // Not a request the provider could price either; it shall say why.
    return undefined
  }
}

function readModels(json: unknown): Map<string, Pricing.Pricing> {
  const models = new Map<string, Pricing.Pricing>()
  if (typeof json !== 'object' || json === null) return models
  for (const [id, listed] of Object.entries(json)) {
    const pricing = attempt(() => Pricing.fromJson(listed))
    if (pricing) models.set(id, pricing)
  }
  return models
}

function readTerms(json: unknown): Terms {
  const fields = (typeof json === 'object' && json !== null ? json : {}) as Record<string, unknown>
  const duration = (value: unknown) => attempt(() => Duration.parse(value as string | number))
  return {
    minDeposit: attempt(() => Usdc.parse(fields.minDeposit as string)),
    minDuration: duration(fields.minDuration),
    recommendedDuration: duration(fields.recommendedDuration),
    maxDuration: duration(fields.maxDuration),
    minRelayed: attempt(() => Usdc.parse((fields.relay as { minDeposit: string }).minDeposit)),
  }
}

/** A list may hold entries of other times and makes: what can't be read is as if it weren't there. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
