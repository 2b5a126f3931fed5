/** Where providers are found: a directory, or their own URL. */
import { DrainError } from '@drain/core'
import { isAddress, isAddressEqual } from 'viem'
import { z } from 'zod'
import { readText } from '../net/readBody.ts'
import { readPricing } from './pricing.ts'
import { type Provider, parseProviders } from './schema.ts'

export const filterSchema = z.object({
  model: z.string().max(200).optional().describe('Part of a model’s id or name, such as gpt-4o.'),
  category: z
    .string()
    .max(40)
    .optional()
    .describe('llm, image, audio, video, code, multi-modal, scraping, search, data, scheduling, … or other.'),
  protocol: z
    .enum(['drain', 'mpp'])
    .optional()
    .describe('drain: paid from a channel. mpp: paid by the request, without one.'),
  tier: z.string().max(40).optional().describe('bittensor or community.'),
  minScore: z.number().min(0).max(1).optional().describe('The least quality score, 0 to 1.'),
  onlineOnly: z.boolean().default(true).describe('Leave out those that don’t answer at the moment.'),
  limit: z.number().int().min(1).max(200).default(20).describe('How many to list at most.'),
})

export type Filter = z.infer<typeof filterSchema>

export type Directory = {
  /** Those that a filter leaves, the best first. @throws {DrainError} `directory_unavailable` */
  list(filter: Filter): Promise<{ providers: Provider[]; total: number }>
  /**
   * The provider of an id, a URL of its own, or its address.
   *
   * @throws {DrainError} `provider_unknown`, `provider_offline`, `directory_unavailable`
   */
  find(name: string): Promise<Provider>
  /** Who was listed with a server, where that is known already. */
  known(origin: string): Provider | undefined
  /** Where the directory takes reports. */
  endpoint(path: string): URL
}

/** The most that is read of a list, in bytes, and how long it may take and is kept, in milliseconds. */
const longest = 16 << 20
const patience = 15_000
const keptFor = 60_000
const mostRemembered = 20_000

export function createDirectory(options: {
  url: URL
  /** For the directory itself, which the operator has named. */
  fetch: typeof globalThis.fetch
  /** For providers, which anybody may have named. */
  outwardFetch: typeof globalThis.fetch
  now?: () => number
}): Directory {
  const { url, fetch, outwardFetch, now = Date.now } = options
  const lists = new Map<string, { providers: Provider[]; readAt: number }>()
  /** Everyone that was listed once, by id: one that a filter found is found again without it. */
  const remembered = new Map<string, Provider>()

  async function ask(address: URL): Promise<Response> {
    const init = { headers: { Accept: 'application/json' }, signal: AbortSignal.timeout(patience) }
    return fetch(address, init).catch((error) => {
      throw unavailable(url, 'does not answer', error)
    })
  }

  async function read(filter: Partial<Filter>): Promise<Provider[]> {
    const address = withFilter(url, filter)
    const kept = lists.get(address.href)
    if (kept && now() - kept.readAt < keptFor) return kept.providers
    let response = await ask(address)
    // An older one knows less: everything is filtered here anyway.
    if (response.status === 400) response = await ask(url)
    if (!response.ok) throw unavailable(url, `answers HTTP ${response.status}`)
    const { text, isCut } = await readText(response, longest).catch((error) => {
      throw unavailable(url, 'breaks off', error)
    })
    if (isCut) throw unavailable(url, `sends more than ${longest >> 20} MiB`)
    const providers = parse(text)
    if (lists.size >= 100) lists.clear()
    lists.set(address.href, { providers, readAt: now() })
    if (remembered.size > mostRemembered) remembered.clear()
    for (const provider of providers) remembered.set(provider.id, provider)
    return providers
  }

  function parse(text: string): Provider[] {
    try {
      return parseProviders(JSON.parse(text))
    } catch (error) {
      throw unavailable(url, 'sends no list of providers', error)
    }
  }

  async function findListed(name: string): Promise<Provider> {
    const isIt = isAddress(name, { strict: false })
      ? ({ providerAddress }: Provider) =>
          providerAddress !== undefined && isAddressEqual(providerAddress as never, name)
      : ({ id }: Provider) => id === name
    const found = [...remembered.values()].find(isIt) ?? (await read({ onlineOnly: false })).find(isIt)
    if (found) return found
    throw new DrainError(
      'provider_unknown',
      `The directory lists no provider ${JSON.stringify(name.slice(0, 200))}.`,
      {
        action: 'Look for one with drain_providers, or name its URL.',
      },
    )
  }

  const known = (origin: string) =>
    [...remembered.values()].find(({ apiUrl }) => new URL(apiUrl).origin === origin)

  return {
    async list(filter) {
      const all = await read(filter)
      const fitting = all.filter((provider) => fits(provider, filter)).sort(byQuality)
      return { providers: fitting.slice(0, filter.limit), total: fitting.length }
    },
    async find(name) {
      if (!/^https?:\/\//i.test(name)) return findListed(name)
      if (!URL.canParse(name))
        throw new DrainError('invalid_format', 'That is not a URL.', {
          action: 'Such as https://api.example.',
        })
      const { origin } = new URL(name)
      return known(origin) ?? readPricing(outwardFetch, origin)
    },
    known,
    endpoint: (path) => new URL(path, url),
  }
}

function withFilter(
  url: URL,
  { model, category, protocol, tier, minScore, onlineOnly }: Partial<Filter>,
): URL {
  const address = new URL(url)
  const parameters = { model, category, protocol, tier, minScore, limit: 200 }
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) address.searchParams.set(name, String(value))
  }
  if (onlineOnly === false) address.searchParams.set('online', 'false')
  return address
}

function fits(
  provider: Provider,
  { model, category, protocol, tier, minScore, onlineOnly }: Filter,
): boolean {
  const isNamed = (text: string | undefined, part: string) => text?.toLowerCase().includes(part.toLowerCase())
  return (
    (!onlineOnly || provider.status.online) &&
    (!protocol || provider.protocol === protocol) &&
    (!category || provider.category.toLowerCase() === category.toLowerCase()) &&
    (!tier || provider.tier === tier) &&
    (minScore === undefined || (provider.qualityScore ?? 0) >= minScore) &&
    (!model || provider.models.some(({ id, name }) => isNamed(id, model) || isNamed(name, model)))
  )
}

/** Those that answer, then the better, then the faster. */
function byQuality(one: Provider, other: Provider): number {
  return (
    Number(other.status.online) - Number(one.status.online) ||
    (other.qualityScore ?? 0) - (one.qualityScore ?? 0) ||
    (one.status.latencyMs ?? Number.MAX_VALUE) - (other.status.latencyMs ?? Number.MAX_VALUE)
  )
}

function unavailable({ origin }: URL, problem: string, cause?: unknown): DrainError {
  return new DrainError('directory_unavailable', `The directory ${origin} ${problem}.`, {
    action: 'Try again in a minute, or name a provider by its URL.',
    cause,
  })
}
