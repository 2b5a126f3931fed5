/** Shapes that several tools give. Amounts are decimal USDC as text. */
import type { ClientChannel } from '@drain/consumer'
import type { Hex } from 'viem'
import { z } from 'zod'
import type { Provider } from '../directory/schema.ts'
import { isoDate } from '../text/plain.ts'
import { oneLine } from '../text/untrusted.ts'

export const amount = z
  .string()
  .regex(
    /^(?:0|[1-9]\d{0,11})(?:\.\d{1,6})?$/,
    'a decimal amount of USDC with at most six decimals, such as 0.50',
  )

export const channelId = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/, 'a channel’s id: 0x and 64 hex digits')
  .transform((id) => id.toLowerCase() as Hex)
  .describe('The channel’s id (0x…), from drain_open_channel or drain_channels.')

export const providerName = z
  .string()
  .min(1)
  .max(2_000)
  .describe('A provider’s id (from drain_providers), its URL (https://api.example), or its address (0x…).')

export const channelShape = z.object({
  channelId: z.string(),
  provider: z.string().describe('The provider’s address.'),
  origin: z.string().describe('The only server that this channel pays.'),
  state: z.string().describe('open, expired, closed; retired or refused: to be closed.'),
  deposit: z.string(),
  charged: z.string().describe('What the provider has charged so far.'),
  promised: z.string().describe('The most that the provider can take of what was signed so far.'),
  remaining: z.string().describe('What new requests may still use.'),
  expires: z.string().describe('When it can be closed without the provider (ISO 8601).'),
  secondsLeft: z.number(),
})

export type ChannelShape = z.infer<typeof channelShape>

export function toChannel(channel: ClientChannel, now = Date.now()): ChannelShape {
  const { channelId, provider, origin, state, deposit, signed, charged, remaining, expiry } = channel
  const left = Number(expiry) - Math.floor(now / 1_000)
  const isOver = state !== 'closed' && left <= 0
  return {
    ...{ channelId, provider, origin, deposit, promised: signed, charged, remaining },
    state: isOver ? 'expired' : state,
    expires: isoDate(expiry),
    secondsLeft: Math.max(0, left),
  }
}

export const providerShape = z.object({
  id: z.string(),
  name: z.string().describe('Untrusted: the provider wrote it.'),
  description: z.string().describe('Untrusted: the provider wrote it.'),
  category: z.string(),
  protocol: z.enum(['drain', 'mpp']),
  online: z.boolean(),
  latencyMs: z.number().optional(),
  qualityScore: z.number().optional(),
  url: z.string(),
  mppEndpoint: z.string().optional(),
  models: z.array(
    z.object({
      id: z.string(),
      inputPer1kTokens: z
        .string()
        .optional()
        .describe('USDC per 1,000 tokens; where outputPer1kTokens is 0, often per request.'),
      outputPer1kTokens: z.string().optional(),
    }),
  ),
  modelCount: z.number(),
})

export type ProviderShape = z.infer<typeof providerShape>

/** @param models How many to list. */
export function toProvider(provider: Provider, models: number): ProviderShape {
  const { id, name, description, category, protocol, status, qualityScore, apiUrl, mppEndpoint } = provider
  return {
    ...{ id, name, description, category, protocol, online: status.online, url: apiUrl },
    ...(status.latencyMs !== undefined && { latencyMs: Math.round(status.latencyMs) }),
    ...(qualityScore !== undefined && { qualityScore }),
    ...(mppEndpoint && { mppEndpoint }),
    models: provider.models.slice(0, models).map(({ id, pricing }) => ({ id: oneLine(id, 200), ...pricing })),
    modelCount: provider.models.length,
  }
}
