/** The list and what belongs to it. */
import { DirectoryAction, Feedback, Voucher } from '@drain/core'
import { z } from 'zod'
import { defineRoute, type Route } from '../http/Route.ts'
import { categories, isListed, missingOf, type ProviderRecord, protocols, tiers } from '../Provider.ts'
import { notFound } from '../problem.ts'
import type { Rooms } from '../Rooms.ts'
import { listedSchema, listSchema, providerSchema } from './listingSchema.ts'
import { filterOf, listQuery, mostOnPage, writeCursor } from './listQuery.ts'
import { shownScore, toCompactListing, toListing } from './toListing.ts'

const tag = 'Providers'
const shortly = { 'Cache-Control': 'public, max-age=5, stale-while-revalidate=60' }

export function listingRoutes(rooms: Rooms): Route[] {
  const { snapshot, settings } = rooms

  function visible(id: string): ProviderRecord {
    const record = snapshot.get(id)
    if (record && record.state !== 'withdrawn') return record
    throw notFound(`provider ${JSON.stringify(id)}`, 'GET /api/mcp/providers lists those that there are.')
  }

  /** The same for people: what an agent isn't shown is there, too, with the reason. */
  function toProvider(record: ProviderRecord) {
    return {
      ...toListing(record),
      state: record.state,
      listed: isListed(record),
      missing: missingOf(record.profile),
      problem: record.health.problem,
      score: { value: record.score, ...record.scoreParts },
      owner: record.owner.startsWith('0x') ? record.owner : null,
      createdAt: new Date(record.createdAt).toISOString(),
    }
  }

  return [
    defineRoute({
      ...{ method: 'get', path: '/api/mcp/providers', tag, query: listQuery },
      summary: 'The list that agents read',
      description:
        'Those that are approved, complete and answering, the best first. Conditional requests with If-None-Match are answered 304.',
      answers: {
        200: { description: 'A page of the list.', schema: listSchema },
        304: { description: 'Unchanged.' },
      },
      async handle({ query }) {
        const { limit, cursor: after, format } = query
        const { records, total, next } = snapshot.select(filterOf(query), { limit, after })
        return {
          version: '1.0',
          providers: records.map(format === 'full' ? toListing : toCompactListing),
          count: records.length,
          timestamp: new Date(snapshot.readAt).toISOString(),
          _meta: { total, nextCursor: next ? writeCursor(next) : null, format },
        }
      },
    }),
    defineRoute({
      ...{ method: 'get', path: '/api/directory/providers', tag, query: listQuery.omit({ format: true }) },
      summary: 'Providers, for people and their tools',
      answers: { 200: { description: 'A page of them.', schema: listedSchema } },
      async handle({ query }) {
        const { limit, cursor: after } = query
        const range = { limit, after }
        const { records, total, next } = snapshot.select(filterOf({ ...query, format: 'full' }), range)
        const body = {
          providers: records.map(toProvider),
          total,
          nextCursor: next ? writeCursor(next) : null,
        }
        return Response.json(body, { headers: shortly })
      },
    }),
    defineRoute({
      ...{ method: 'get', path: '/api/directory/providers/{id}', tag },
      params: z.strictObject({ id: z.string().max(100) }),
      summary: 'One provider, also while it waits for review',
      answers: {
        200: { description: 'It.', schema: providerSchema },
        404: { description: 'There is none.' },
      },
      async handle({ params: { id } }) {
        return Response.json(toProvider(visible(id)), { headers: shortly })
      },
    }),
    defineRoute({
      // It looks at every model of every provider.
      ...{ method: 'get', path: '/api/directory/pricing', tag, cost: 10 },
      summary: 'Who offers a model, and at what price',
      description: 'Of providers that answer, the cheapest first; models without `model` at most 200.',
      query: z.strictObject({
        model: z.string().min(1).max(200).optional().describe('Part of its id or name.'),
      }),
      answers: {
        200: { description: 'Models and their prices.', schema: z.object({ models: z.array(z.unknown()) }) },
      },
      async handle({ query: { model } }) {
        return Response.json({ models: pricesOf(snapshot.listed, model) }, { headers: shortly })
      },
    }),
    defineRoute({
      ...{ method: 'get', path: '/api/directory/config', tag },
      summary: 'What this directory is like',
      answers: { 200: { description: 'Its settings.', schema: z.record(z.string(), z.unknown()) } },
      async handle() {
        return {
          origin: settings.origin,
          ...{ categories, protocols, tiers, mostOnPage, review: settings.review },
          chains: settings.chains.map(({ deployment }) => deployment.chainId),
          gasStation: settings.funds?.gasStation !== undefined,
          profile: ['description', 'logoUrl', 'website', 'contactEmail', 'docsUrl'],
        }
      },
    }),
    defineRoute({
      ...{ method: 'get', path: '/api/drain/signing', tag },
      summary: 'What wallets sign: channels, changes of this directory, feedback',
      answers: {
        200: {
          description: 'EIP-712 domains and types, by chain.',
          schema: z.record(z.string(), z.unknown()),
        },
      },
      async handle() {
        const chains = settings.chains.map(({ deployment }) => signingOf(deployment, settings.origin))
        return Response.json({ chains }, { headers: { 'Cache-Control': 'public, max-age=3600' } })
      },
    }),
  ]
}

type DeploymentOf = Rooms['settings']['chains'][number]['deployment']

function signingOf({ chainId, contract, token, feeBps, features }: DeploymentOf, directory: string) {
  return {
    ...{ chainId, contract, token, feeBps, features },
    domain: { name: 'DrainChannel', version: '1', chainId, verifyingContract: contract },
    types: Voucher.types,
    directory: {
      domain: { name: 'DRAIN Directory', version: '1', chainId },
      types: DirectoryAction.types,
      primaryType: 'DirectoryAction',
      message: {
        directory,
        action: 'provider.register, provider.update, provider.withdraw, skill.save, …',
        subject: 'the apiUrl to register, the id of what is changed',
        body: 'keccak-256 of the body as JSON without spaces and with sorted names, without issuedAt and signature',
        issuedAt: 'Unix milliseconds',
      },
    },
    feedback: {
      domain: { name: 'DRAIN Feedback', version: '1', chainId },
      types: Feedback.types,
      primaryType: 'Feedback',
    },
  }
}

const mostModels = 200
const mostOffers = 100

/** Each model with who offers it. */
export function pricesOf(listed: readonly ProviderRecord[], part?: string) {
  const models = new Map<string, { model: string; offers: Offered[] }>()
  const words = part?.toLowerCase() ?? ''
  for (const record of listed) {
    if (record.health.status === 'offline') continue
    const score = shownScore(record.score)
    for (const model of record.offer.models) {
      const { id, name, inputPer1kTokens, outputPer1kTokens } = model
      if (words && !`${id}\n${name}`.toLowerCase().includes(words)) continue
      let entry = models.get(id)
      if (!entry) {
        if (models.size >= mostModels) continue
        entry = { model: id, offers: [] }
        models.set(id, entry)
      }
      const { name: provider } = record.profile
      entry.offers.push({ id: record.id, provider, score, inputPer1kTokens, outputPer1kTokens })
    }
  }
  return [...models.values()].map(({ model, offers }) => ({
    model,
    offers: offers.sort(byPrice).slice(0, mostOffers),
  }))
}

type Offered = {
  /** Of the provider. */
  id: string
  provider: string
  score: number
  inputPer1kTokens: string | null
  outputPer1kTokens: string | null
}

/** What a thousand tokens each way cost; those without a price last. For an order only. */
function byPrice(one: Offered, other: Offered): number {
  const sum = ({ inputPer1kTokens, outputPer1kTokens }: Offered) =>
    inputPer1kTokens === null ? Number.MAX_VALUE : Number(inputPer1kTokens) + Number(outputPer1kTokens ?? 0)
  return sum(one) - sum(other) || other.score - one.score
}
