/** What a provider says of itself: whom it is paid as, what it sells, how it is used. */
import { DrainError } from '@drain/core'
import { readText } from '../net/readBody.ts'
import { oneLine, printable } from '../text/untrusted.ts'
import { type Provider, unlistedSchema } from './schema.ts'

const patience = 10_000
const longestList = 1 << 20
const longestDocs = 64 << 10

/** What a server says of itself; `features` are what it offers beside the minimum, such as `open` for wallets without gas. */
export type OwnEntry = Provider & { features: readonly string[] }

/** An entry made of a provider's own `/v1/pricing`. @throws {DrainError} `provider_offline` */
export async function readPricing(fetch: typeof globalThis.fetch, origin: string): Promise<OwnEntry> {
  const startedAt = Date.now()
  const { text, isCut } = await ask(fetch, new URL('/v1/pricing', origin), longestList)
  const list = isCut ? undefined : parse(text)
  if (!list) throw offline(origin, 'has no price list at /v1/pricing')
  const models = Object.entries((list.models ?? {}) as Record<string, unknown>)
  const unlisted = unlistedSchema.parse({
    name: oneLine(String(list.providerName ?? new URL(origin).host), 100),
    apiUrl: origin,
    providerAddress: list.provider,
    chainId: list.chainId,
    category: list.category,
    status: { online: true, latencyMs: Date.now() - startedAt },
    models: models.map(([id, pricing]) => ({ id, pricing })),
  })
  const features = Array.isArray(list.features) ? list.features.slice(0, 50) : []
  return { id: origin, ...unlisted, features: features.filter((one) => typeof one === 'string') }
}

/** A provider's instructions; `undefined` where it has none. @param longest Characters. */
export async function readDocs(
  fetch: typeof globalThis.fetch,
  { apiUrl, docsUrl }: Provider,
  longest: number,
): Promise<{ text: string; isCut: boolean } | undefined> {
  const url = docsUrl ?? routeOf(apiUrl, '/v1/docs')
  const docs = await ask(fetch, new URL(url), longestDocs).catch(() => undefined)
  if (!docs || docs.text.trim() === '') return undefined
  return { text: printable(docs.text.slice(0, longest)), isCut: docs.isCut || docs.text.length > longest }
}

/** A route of a provider whose API may stand below a path. */
export function routeOf(apiUrl: string, path: `/${string}`): string {
  const { origin, pathname } = new URL(apiUrl)
  return `${origin}${pathname.replace(/\/$/, '')}${path}`
}

async function ask(fetch: typeof globalThis.fetch, url: URL, longest: number) {
  let response: Response
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(patience) })
  } catch (error) {
    if (error instanceof DrainError) throw error
    throw offline(url.origin, 'does not answer', error)
  }
  if (!response.ok) {
    await response.body?.cancel()
    throw offline(url.origin, `answers HTTP ${response.status} at ${url.pathname}`)
  }
  return readText(response, longest).catch((error) => {
    throw offline(url.origin, 'breaks off', error)
  })
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const list: unknown = JSON.parse(text)
    return typeof list === 'object' && list !== null ? (list as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function offline(origin: string, problem: string, cause?: unknown): DrainError {
  return new DrainError('provider_offline', `Provider offline: ${origin} ${problem}.`, {
    action: 'Open no channel to it. Look for another one with drain_providers.',
    cause,
  })
}
