/** The shapes of what the list answers, for the documentation and for tests. */
import { z } from 'zod'
import { categories, protocols, states, tiers } from '../Provider.ts'

const price = z.string().nullable().describe('Decimal USDC.')
const model = z.object({
  id: z.string(),
  name: z.string(),
  pricing: z.object({
    inputPer1kTokens: price.describe(
      'Decimal USDC per 1,000 tokens, or per request where there is no output price.',
    ),
    outputPer1kTokens: price,
    currency: z.literal('USDC'),
    decimals: z.literal(6),
  }),
})
const share = z.number().min(0).max(1)
const milliseconds = z.number().nonnegative().nullable()

const status = z.object({
  online: z.boolean(),
  state: z.enum(['unknown', 'online', 'degraded', 'offline']),
  lastChecked: z.string().nullable(),
  latencyMs: milliseconds,
  medianLatencyMs: milliseconds,
  p95LatencyMs: milliseconds,
  uptime24h: share.nullable(),
  uptime30d: share.nullable(),
})

export const listingSchema = z.object({
  id: z.string(),
  name: z.string(),
  description: z.string(),
  apiUrl: z.string(),
  providerAddress: z.string().nullable(),
  chainId: z.number().nullable(),
  category: z.enum(categories),
  categories: z.array(z.enum(categories)),
  protocol: z.enum(protocols),
  tier: z.enum(tiers),
  qualityScore: share,
  mppEndpoint: z.string().nullable(),
  mppType: z.enum(['llm', 'rest']).nullable(),
  docsUrl: z.string().nullable(),
  website: z.string().nullable(),
  logoUrl: z.string().nullable(),
  contactEmail: z.string().nullable(),
  streaming: z.boolean(),
  minDuration: z.number().nullable().describe('Seconds.'),
  maxDuration: z.number().nullable().describe('Seconds.'),
  status,
  models: z.array(model),
})

export const listSchema = z.object({
  version: z.literal('1.0'),
  providers: z.array(listingSchema).describe('With format=compact fewer fields.'),
  count: z.number().describe('On this page.'),
  timestamp: z.string(),
  _meta: z.object({
    total: z.number(),
    nextCursor: z.string().nullable(),
    format: z.enum(['full', 'compact']),
  }),
})

export const providerSchema = listingSchema.extend({
  state: z.enum(states),
  listed: z.boolean().describe('Whether agents see it.'),
  missing: z.array(z.string()),
  problem: z.string(),
  score: z.object({
    value: share,
    reachability: share,
    correctness: share,
    latency: share,
    feedback: share,
    praised: z.string(),
    blamed: z.string(),
  }),
  owner: z.string().nullable(),
  createdAt: z.string(),
})

export const listedSchema = z.object({
  providers: z.array(providerSchema),
  total: z.number(),
  nextCursor: z.string().nullable(),
})
