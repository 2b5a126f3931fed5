import { Duration, Pricing, Quote, Usdc } from '@drain/core'
import type { ReplayableRequest } from './ReplayableRequest.ts'
import { readJson } from './readJson.ts'

/** What a provider wants of a channel; what it doesn't say is open. Amounts in base units, durations in seconds. */
export type Terms = {
  minDeposit?: bigint | undefined
  minDuration?: bigint | undefined
  recommendedDuration?: bigint | undefined
  maxDuration?: bigint | undefined
}

/** What is known of an origin's prices: its `/v1/pricing`, read once, and what its 402s quoted. */
export type PriceList = {
  /** Reads `/v1/pricing` unless it has been; never fails. */
  load(): Promise<void>
  /** A quote differed from the list: `load` reads it again, but not more than once a minute. */
  outdated(): void
  /** What a request costs at most, in base units, where that is known without asking. */
  quote(request: ReplayableRequest): bigint | undefined
  /** Remembers what the provider quoted. */
  learn(request: ReplayableRequest, quote: bigint): void
  terms(): Terms
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
    quote(request) {
      return chatQuote(request, models) ?? quoted.get(route(request))
    },
    learn(request, quote) {
      // A chat's price depends on its body; another body's is no guess at all.
      if (parseChat(request) !== undefined) return
      quoted.set(route(request), quote)
      const [oldest] = quoted.keys()
      if (quoted.size > mostRoutes && oldest !== undefined) quoted.delete(oldest)
    },
    terms: () => terms,
  }
}

function route({ method, url }: ReplayableRequest): string {
  return `${method} ${url.pathname}`
}

type Chat = { messages: unknown[]; model?: unknown }

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

function chatQuote(request: ReplayableRequest, models: Map<string, Pricing.Pricing>): bigint | undefined {
  if (models.size === 0) return undefined
  const chat = parseChat(request)
  const pricing = typeof chat?.model === 'string' ? models.get(chat.model) : undefined
  try {
    if (pricing?.type === 'tokens') return Quote.chat(pricing, chat).amount
    if (pricing?.type === 'flat') return Pricing.cost(pricing)
  } catch {
    // Not a request the provider could price either; it shall say why.
  }
  return undefined
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
