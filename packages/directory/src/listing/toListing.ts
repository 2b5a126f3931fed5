/** Providers in the shape that the original marketplace's clients read. */
import { isOnline, type ProviderRecord } from '../Provider.ts'

export type Format = 'full' | 'compact'

type Texts = Partial<Record<Format, string>>

/** Made once of each version of a record: ten thousand are asked for again and again. */
const texts = new WeakMap<ProviderRecord, Texts>()

/** The JSON text of a listing. */
export function listingText(record: ProviderRecord, format: Format): string {
  let known = texts.get(record)
  if (!known) {
    known = {}
    texts.set(record, known)
  }
  known[format] ??= JSON.stringify(format === 'full' ? toListing(record) : toCompactListing(record))
  return known[format]
}

export function toListing(record: ProviderRecord) {
  const { id, apiUrl, protocol, tier, profile, offer, health, score } = record
  return {
    id,
    name: profile.name,
    description: profile.description,
    apiUrl,
    providerAddress: offer.providerAddress,
    chainId: record.chainId,
    category: profile.category,
    categories: [profile.category, ...profile.moreCategories],
    protocol,
    tier,
    qualityScore: shownScore(score),
    mppEndpoint: profile.mppEndpoint,
    mppType: profile.mppType,
    docsUrl: profile.docsUrl || null,
    website: profile.website || null,
    logoUrl: profile.logoUrl || null,
    contactEmail: profile.contactEmail || null,
    streaming: profile.streaming,
    minDuration: profile.minDuration,
    maxDuration: profile.maxDuration,
    status: {
      online: isOnline(health),
      state: health.status,
      lastChecked: health.lastChecked === null ? null : new Date(health.lastChecked).toISOString(),
      latencyMs: health.latencyMs,
      medianLatencyMs: health.medianMs,
      p95LatencyMs: health.p95Ms,
      uptime24h: health.uptimeDay,
      uptime30d: health.uptimeMonth,
    },
    models: offer.models.map((model) => ({
      id: model.id,
      name: model.name,
      pricing: {
        inputPer1kTokens: model.inputPer1kTokens,
        outputPer1kTokens: model.outputPer1kTokens,
        currency: 'USDC' as const,
        decimals: 6 as const,
      },
    })),
  }
}

/** What it takes to choose one and to call it. */
export function toCompactListing(record: ProviderRecord) {
  const { id, name, apiUrl, providerAddress, chainId, category, protocol, qualityScore, ...rest } =
    toListing(record)
  const { mppEndpoint, mppType, status, models } = rest
  return {
    ...{ id, name, apiUrl, providerAddress, chainId, category, protocol, qualityScore },
    ...(protocol === 'mpp' && { mppEndpoint, mppType }),
    status: { online: status.online, latencyMs: status.latencyMs },
    models: models.map(({ id, pricing }) => ({
      id,
      pricing: { inputPer1kTokens: pricing.inputPer1kTokens, outputPer1kTokens: pricing.outputPer1kTokens },
    })),
  }
}

/** Four decimals: more would say that it is known so well, and change every answer with every probe. */
export const shownScore = (score: number) => Math.round(score * 1e4) / 1e4
