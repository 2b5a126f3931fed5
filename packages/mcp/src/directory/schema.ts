/** What a directory answers. Strangers wrote it: what isn't as it should be is left out, and everything is bounded. */
import { isAddress } from 'viem'
import { z } from 'zod'
import { oneLine } from '../text/untrusted.ts'

const line = (longest: number) => z.string().transform((text) => oneLine(text, longest))
const maybe = <schema extends z.ZodType>(schema: schema) => schema.optional().catch(undefined)
const httpUrl = z.string().refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol))
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
    .refine((id) => id === oneLine(id, 200)),
  name: maybe(line(200)),
  pricing: z.object({ inputPer1kTokens: maybe(price), outputPer1kTokens: maybe(price) }).catch({}),
})

export const providerSchema = z.object({
  id: z
    .string()
    .min(1)
    .max(200)
    .refine((id) => id === oneLine(id, 200)),
  name: line(100).catch(''),
  description: line(500).catch(''),
  apiUrl: httpUrl,
  providerAddress: maybe(z.string().refine((text) => isAddress(text, { strict: false }))),
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
    .transform((list) => known(list.slice(0, 500), model)),
})

/** A provider as it is listed. Prices are decimal USDC per 1,000 tokens, or per request where only the input has one. */
export type Provider = z.infer<typeof providerSchema>

/** The entries of a list that can be read. */
export function parseProviders(body: unknown): Provider[] {
  const { providers } = z.object({ providers: z.array(z.unknown()) }).parse(body)
  return known(providers.slice(0, 10_000), providerSchema)
}

function known<schema extends z.ZodType>(list: readonly unknown[], schema: schema): z.output<schema>[] {
  return list.flatMap((entry) => {
    const { success, data } = schema.safeParse(entry)
    return success ? [data] : []
  })
}
