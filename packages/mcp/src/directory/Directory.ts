/** Where providers are found: a directory, or their own URL. */
import { DrainError } from '@drain/core'
import { type Address, isAddress, isAddressEqual } from 'viem'
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
   * The provider of an id, a URL of its own, or its address. One that is named by its URL is what it says of itself there: whoever
   * lists another server's URL has no say in it.
   *
   * @throws {DrainError} `provider_unknown`, `provider_ambiguous`, `provider_offline`, `directory_unavailable`
   */
  find(name: string): Promise<Provider>
  /**
   * What the directory calls a server: the id of the only listing of that origin, and of that address where both are known. A name
   * for reports, and nothing to pay by.
   */
  idOf(origin: string, address: Address | undefined): string | undefined
  /** Sends the directory a report. Its own `fetch`: the operator has named it, so it may be anywhere. */
  send(path: string, init: RequestInit): Promise<Response>
}

/** The most that is read of a list, in bytes, and how long it may take and is believed, in milliseconds. */
const longest = 16 << 20
const patience = 15_000
const keptFor = 60_000
/** How long an older list is good enough to name a server in a report. */
const namedFor = 3_600_000
/** Each may be as large as a hostile directory likes, within what the schema lets through. */
const mostLists = 8
const mostIds = 20_000

export function createDirectory(options: {
  url: URL
  /** For the directory itself, which the operator has named. */
  fetch: typeof globalThis.fetch
  /** For providers, which anybody may have named. */
  outwardFetch: typeof globalThis.fetch
  now?: () => number
}): Directory {
  const { url, fetch, outwardFetch, now = Date.now } = options
  /** By the address that was asked, the oldest first. */
  const lists = new Map<string, { providers: Provider[]; readAt: number }>()
  /** What was asked when an id was listed: it may be beyond what is listed without a filter. */
  const foundBy = new Map<string, Partial<Filter>>()

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
    lists.delete(address.href)
    lists.set(address.href, { providers, readAt: now() })
    for (const oldest of [...lists.keys()].slice(0, -mostLists)) lists.delete(oldest)
    if (foundBy.size > mostIds) foundBy.clear()
    for (const { id } of providers) foundBy.set(id, filter)
    return providers
  }

  /** What was listed of late, each as it was the last time. @param age Milliseconds. */
  function listed(age: number): Map<string, Provider> {
    const all = new Map<string, Provider>()
    for (const { providers, readAt } of lists.values()) {
      if (now() - readAt >= age) continue
      for (const provider of providers) all.set(provider.id, provider)
    }
    return all
  }

  function parse(text: string): Provider[] {
    try {
      return parseProviders(JSON.parse(text))
    } catch (error) {
      throw unavailable(url, 'sends no list of providers', error)
    }
  }

  async function findById(id: string): Promise<Provider> {
    const known = listed(keptFor).get(id)
    if (known) return known
    const isIt = (provider: Provider) => provider.id === id
    const filter = foundBy.get(id)
    const again = filter && (await read(filter)).find(isIt)
    const found = again ?? (await read({ onlineOnly: false })).find(isIt)
    if (!found) throw unknown(id)
    return found
  }

  async function findByAddress(address: Address): Promise<Provider> {
    await read({ onlineOnly: false })
    const paidThere = ({ providerAddress }: Provider) =>
      providerAddress !== undefined && isAddressEqual(providerAddress, address)
    const found = [...listed(keptFor).values()].filter(paidThere)
    const [only] = found
    if (!only) throw unknown(address)
    if (found.length === 1) return only
    const ids = found.slice(0, 5).map(({ id }) => id)
    throw new DrainError('provider_ambiguous', `${found.length} listed providers are paid as ${address}.`, {
      action: `Name one by its id: ${ids.join(', ')}${found.length > ids.length ? ', …' : ''}.`,
    })
  }

  return {
    async list(filter) {
      const all = await read(filter)
      const fitting = all.filter((provider) => fits(provider, filter)).sort(byQuality)
      return { providers: fitting.slice(0, filter.limit), total: fitting.length }
    },
    async find(name) {
      if (!/^https?:\/\//i.test(name))
        return isAddress(name, { strict: false }) ? findByAddress(name) : findById(name)
      if (!URL.canParse(name))
        throw new DrainError('invalid_format', 'That is not a URL.', {
          action: 'Such as https://api.example.',
        })
      return readPricing(outwardFetch, new URL(name).origin)
    },
    idOf(origin, address) {
      const isThere = ({ apiUrl, providerAddress }: Provider) =>
        apiUrl === `${origin}/` && (!address || !providerAddress || isAddressEqual(providerAddress, address))
      const [only, ...others] = [...listed(namedFor).values()].filter(isThere)
      return others.length === 0 ? only?.id : undefined
    },
    send: (path, init) => fetch(new URL(path, url), { ...init, redirect: 'manual' }),
  }
}

function unknown(name: string): DrainError {
  return new DrainError(
    'provider_unknown',
    `The directory lists no provider ${JSON.stringify(name.slice(0, 200))}.`,
    {
      action: 'Look for one with drain_providers, or name its URL.',
    },
  )
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
