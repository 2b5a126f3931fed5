/** A provider as the marketplace's API lists it, made of the provider's own `/v1/pricing`. */
import type { JsonObject } from './body.ts'

/** What a directory is told of a provider. */
export type Listed = {
  /** Its origin, such as `https://api.example`. */
  url: string
  /** Made of its name by default. */
  id?: string | undefined
  /** `other` by default. */
  category?: string | undefined
  description?: string | undefined
}

/** A provider's price list, as it was last read, and how the latest look at it went. */
export type Reading = {
  list: JsonObject
  status: { online: boolean; lastChecked: string; latencyMs: number | null }
}

const patienceMs = 5_000
const longest = 1_048_576

/** Reads a provider's price list. Of one that doesn't answer, or with something else, the list of `last` stays. */
export async function readProvider({ url }: Listed, last?: Reading): Promise<Reading> {
  const startedAt = performance.now()
  const list = await readPriceList(url).catch(() => undefined)
  const latencyMs = list ? Math.round(performance.now() - startedAt) : null
  const status = { online: list !== undefined, lastChecked: new Date().toISOString(), latencyMs }
  return { list: list ?? last?.list ?? {}, status }
}

export function toListing({ url, id, category = 'other', description }: Listed, { list, status }: Reading) {
  const name = typeof list.providerName === 'string' ? list.providerName.slice(0, 100) : new URL(url).host
  const slug = name
    .toLowerCase()
    .match(/[a-z0-9]+/g)
    ?.join('-')
  const prices = Object.entries((list.models ?? {}) as Record<string, JsonObject | null>)
  return {
    id: id ?? slug ?? 'provider',
    name,
    description: description ?? '',
    apiUrl: url,
    /** `null` until it has answered once. */
    providerAddress: list.provider ?? null,
    chainId: list.chainId ?? null,
    category,
    protocol: 'drain',
    qualityScore: 0.5,
    mppEndpoint: null,
    mppType: null,
    docsUrl: `${url}/v1/docs`,
    status,
    models: prices.map(([model, price]) => ({
      id: model,
      name: model,
      pricing: {
        inputPer1kTokens: price?.inputPer1kTokens,
        outputPer1kTokens: price?.outputPer1kTokens,
        currency: 'USDC',
        decimals: 6,
      },
    })),
  }
}

async function readPriceList(url: string): Promise<JsonObject> {
  const signal = AbortSignal.timeout(patienceMs)
  const response = await fetch(`${url}/v1/pricing`, { redirect: 'error', signal })
  const decoder = new TextDecoder()
  let text = ''
  for await (const part of response.body ?? []) {
    text += decoder.decode(part, { stream: true })
    if (text.length > longest) throw new RangeError('The price list is too long.')
  }
  const list = response.ok ? JSON.parse(text) : undefined
  if (typeof list?.provider !== 'string') throw new TypeError('That is no price list.')
  return list
}
