/** What a provider says it sells, as its `GET /v1/pricing` has it. Strangers wrote it: it is read strictly, and bounded. */
import { type Address, getAddress, isAddress } from 'viem'
import { z } from 'zod'
import { plainLine } from './plainText.ts'

/** Prices are decimal USDC: per 1,000 tokens, or per request or unit where only the input has one. */
export type PricedModel = {
  id: string
  name: string
  inputPer1kTokens: string
  outputPer1kTokens?: string | undefined
  type?: 'tokens' | 'flat' | 'unit' | 'minute' | undefined
  unit?: string | undefined
}

export type PriceList = {
  providerAddress: Address
  chainId: number
  contract?: Address | undefined
  name?: string | undefined
  models: readonly PricedModel[]
  /** Models that were left out, with the reason; at most ten of them. */
  leftOut: readonly string[]
}

/** As many models of a provider are kept. */
const mostModels = 200
const mostReasons = 10
/** As many are looked at: a list of nothing but bad ones must not keep us. */
const mostEntries = 1_000

const address = z
  .custom<string>((text) => typeof text === 'string' && isAddress(text, { strict: false }), 'no address')
  .transform((text) => getAddress(text))
const price = z.string('no decimal string').regex(/^\d{1,12}(?:\.\d{1,18})?$/, 'no decimal USDC amount')

const head = z.object({
  provider: address,
  chainId: z.number('no number').int('no whole number').positive('not positive'),
  contract: address.optional(),
  providerName: z
    .string()
    .transform((text) => plainLine(text, 100))
    .optional()
    .catch(undefined),
  models: z.custom<Record<string, unknown>>(
    (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
    'no object of models by their ids',
  ),
})

const id = z
  .string()
  .min(1, 'empty')
  .max(200, 'longer than 200 characters')
  // Agents are told it in quotes.
  .refine((text) => text === plainLine(text, 200) && !/["'`\\]/.test(text), 'with signs that can’t be shown')
const model = z.object(
  {
    name: z
      .string()
      .transform((text) => plainLine(text, 200))
      .optional()
      .catch(undefined),
    inputPer1kTokens: price,
    outputPer1kTokens: price.optional(),
    type: z.enum(['tokens', 'flat', 'unit', 'minute'], 'unknown').optional(),
    unit: z
      .string()
      .transform((text) => plainLine(text, 40))
      .optional()
      .catch(undefined),
  },
  'no object',
)

export type PricingResult = { ok: true; list: PriceList } | { ok: false; problem: string }

/**
 * A price list, or what is wrong with it, for the one who wrote it. A model that can't be read is left out and reported; without
 * an address, a chain or any object of models there is no list.
 */
export function readPricing(text: string): PricingResult {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return { ok: false, problem: 'it is no JSON' }
  }
  const parsed = head.safeParse(json)
  if (!parsed.success) return { ok: false, problem: problemOf(parsed.error) }
  const { provider, chainId, contract, providerName, models: listed } = parsed.data
  const models: PricedModel[] = []
  const leftOut: string[] = []
  const entries = Object.entries(listed)
  for (const [key, value] of entries.slice(0, mostEntries)) {
    if (models.length === mostModels) {
      leftOut.push(`only the first ${mostModels} models are kept`)
      break
    }
    const read = readModel(key, value)
    if (typeof read !== 'string') models.push(read)
    else if (leftOut.length < mostReasons - 1) leftOut.push(read)
  }
  const name = providerName || undefined
  return { ok: true, list: { providerAddress: provider, chainId, contract, name, models, leftOut } }
}

/** @returns A reason instead of a model that is left out. */
function readModel(key: string, value: unknown): PricedModel | string {
  const known = id.safeParse(key)
  const parsed = known.success ? model.safeParse(value) : known
  if (!known.success || !parsed.success) {
    return `${plainLine(key, 60) || 'a model without a name'}: ${problemOf(parsed.error as z.ZodError)}`
  }
  const { name, ...prices } = parsed.data as z.output<typeof model>
  return { id: key, name: name || key, ...prices }
}

/** The first thing that is wrong. The words are ours: nothing that was sent stands in it. */
function problemOf({ issues }: z.ZodError): string {
  const [issue] = issues
  const path = issue?.path.join('.')
  return path ? `\`${path}\` is ${issue?.message}` : `it is ${issue?.message}`
}
