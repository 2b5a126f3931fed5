/** What a directory answers. Strangers wrote it: what isn't as it should be is left out, and everything is bounded. */
import { type Address, isAddress } from 'viem'
import { z } from 'zod'
import { oneLine } from '../text/untrusted.ts'

const line = (longest: number) => z.string().transform((text) => oneLine(text, longest))
const maybe = <schema extends z.ZodType>(schema: schema) => schema.optional().catch(undefined)
/** In the form that a parser gives it: no line breaks, no control characters, nobody's password. */
const httpUrl = z
  .string()
  .refine((text) => URL.canParse(text))
  .transform((text) => new URL(text))
  .refine(({ protocol, username, password }) => /^https?:$/.test(protocol) && !username && !password)
  .transform(({ href }) => href)
  .refine((href) => href.length <= 2_000)
/** A decimal price in USDC, as text or number. */
const price = z
  .union([z.string(), z.number()])
  .transform(String)
  .refine((text) => /^\d{1,12}(?:\.\d{1,18})?$/.test(text))

const model = z.object({
  id: z
    .string()
    .min(1)
    .max(200)
    // Agents are told it in quotes.
    .refine((id) => id === oneLine(id, 200) && !/["'`\\]/.test(id)),
  name: maybe(line(200)),
  pricing: z.object({ inputPer1kTokens: maybe(price), outputPer1kTokens: maybe(price) }).catch({}),
})

/** As many models of one provider are kept, and of a whole list. */
const mostModels = 200
const mostModelsInAll = 20_000

const providerSchema = z.object({
  id: z.string().regex(/^[\w.:@/-]{1,100}$/),
  name: line(100).catch(''),
  description: line(500).catch(''),
  apiUrl: httpUrl,
  providerAddress: maybe(
    z.custom<Address>((text) => typeof text === 'string' && isAddress(text, { strict: false })),
  ),
  chainId: maybe(z.number().int().positive()),
  category: line(40).catch('other'),
  protocol: z.enum(['drain', 'mpp']).catch('drain'),
  tier: maybe(line(40)),
  qualityScore: maybe(z.number().min(0).max(1)),
  mppEndpoint: maybe(httpUrl),
  mppType: maybe(z.enum(['llm', 'rest'])),
  docsUrl: maybe(httpUrl),
  status: z
    .object({ online: z.boolean().catch(false), latencyMs: maybe(z.number().nonnegative()) })
    .catch({ online: false }),
  models: z
    .array(z.unknown())
    .catch([])
    .transform((list) => known(list.slice(0, mostModels), model)),
})

/** A provider as it is listed. Prices are decimal USDC per 1,000 tokens, or per request where only the input has one. */
export type Provider = z.infer<typeof providerSchema>

/** What a provider says of itself: it has no name but its URL. */
export const unlistedSchema = providerSchema.omit({ id: true })

/** The entries of a list that can be read. Of an id that is there twice, the first. */
export function parseProviders(body: unknown): Provider[] {
  const { providers } = z.object({ providers: z.array(z.unknown()) }).parse(body)
  const ids = new Set<string>()
  let room = mostModelsInAll
  return providers.slice(0, 10_000).flatMap((entry) => {
    // Before they are looked at: that takes its time, too.
    const { success, data } = providerSchema.safeParse(withModels(entry, room))
    if (!success || ids.has(data.id)) return []
    ids.add(data.id)
    room -= data.models.length
    return [data]
  })
}

/** An entry with at most so many models. */
function withModels(entry: unknown, most: number): unknown {
  const { models } = (entry ?? {}) as { models?: unknown }
  return Array.isArray(models) ? { ...(entry as object), models: models.slice(0, most) } : entry
}

function known<schema extends z.ZodType>(list: readonly unknown[], schema: schema): z.output<schema>[] {
  return list.flatMap((entry) => {
    const { success, data } = schema.safeParse(entry)
    return success ? [data] : []
  })
}
