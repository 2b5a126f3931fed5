/** What is sold, and at which price. */
import { Pricing } from '@drain-protocol/sdk'

export type Model = {
  id: string
  pricing: Pricing.Tokens
  /**
   * Whether the upstream bills reasoning that it does not send. Streams of such a model are passed on when the upstream has
   * told its usage: otherwise a consumer could leave with the answer before it is known what the answer cost.
   */
  hidesReasoning: boolean
}

/** The model of this process: generated text, for trying everything out offline. */
export const localModel = 'drain-local'

type ListPrice = { inputPer1k: string; outputPer1k: string; hidesReasoning?: boolean }

/** Price of {@link localModel}, in USDC per 1,000 tokens. It costs its provider nothing. */
const localPrice: ListPrice = { inputPer1k: '0.0005', outputPer1k: '0.0015' }

/**
 * OpenAI's list prices in USD per 1,000 tokens, as of 2025-08. They change: compare with https://openai.com/api/pricing and
 * name your own in MODELS where they differ.
 */
const listPrices = new Map<string, ListPrice>([
  ['gpt-4o', { inputPer1k: '0.0025', outputPer1k: '0.01' }],
  ['gpt-4o-mini', { inputPer1k: '0.00015', outputPer1k: '0.0006' }],
  ['gpt-4.1', { inputPer1k: '0.002', outputPer1k: '0.008' }],
  ['gpt-4.1-mini', { inputPer1k: '0.0004', outputPer1k: '0.0016' }],
  ['gpt-4.1-nano', { inputPer1k: '0.0001', outputPer1k: '0.0004' }],
  ['gpt-5', { inputPer1k: '0.00125', outputPer1k: '0.01', hidesReasoning: true }],
  ['gpt-5-mini', { inputPer1k: '0.00025', outputPer1k: '0.002', hidesReasoning: true }],
  ['gpt-5-nano', { inputPer1k: '0.00005', outputPer1k: '0.0004', hidesReasoning: true }],
  ['o4-mini', { inputPer1k: '0.0011', outputPer1k: '0.0044', hidesReasoning: true }],
])

/** Models served when `MODELS` names none. */
export const defaultModels = { upstream: 'gpt-4o-mini,gpt-4o,gpt-4.1-mini,gpt-4.1', local: localModel }

/** Reasoning counts as output, so a request for such a model needs more of it. */
const reasoningMaxTokens = 4_096

/**
 * Models as an operator writes them: `id` at its list price, or `id=input/output` at a price of your own in USDC per 1,000
 * tokens, `id=input/output/reasoning` for one that bills hidden reasoning. Separated by commas. The margin goes on top.
 *
 * @example
 * ```ts
 * parseModels('gpt-4o-mini,llama-3.1-8b=0.00005/0.00008', 2_000)
 * ```
 * @throws {RangeError | InvalidAmountError} Says what to write instead.
 */
export function parseModels(text: string, marginBasisPoints: number): Map<string, Model> {
  const models = new Map<string, Model>()
  for (const entry of text.split(',').map((part) => part.trim())) {
    if (!entry) continue
    const model = parseModel(entry, marginBasisPoints)
    if (models.has(model.id)) throw new RangeError(`${model.id} is listed twice.`)
    models.set(model.id, model)
  }
  if (models.size === 0) throw new RangeError('it names no model.')
  return models
}

function parseModel(entry: string, marginBasisPoints: number): Model {
  const equals = entry.lastIndexOf('=')
  const id = (equals < 0 ? entry : entry.slice(0, equals)).trim()
  const listed = equals < 0 ? listPrice(id) : parsePrice(id, entry.slice(equals + 1))
  const { hidesReasoning = false, ...price } = listed
  const pricing = Pricing.perToken({
    ...price,
    ...(hidesReasoning ? { defaultMaxTokens: reasoningMaxTokens } : {}),
  })
  return { id, hidesReasoning, pricing: Pricing.withMarkup(pricing, marginBasisPoints) }
}

function listPrice(id: string): ListPrice {
  const listed = id === localModel ? localPrice : listPrices.get(id)
  if (listed) return listed
  throw new RangeError(
    `the price of ${id} is unknown. Write it as ${id}=input/output, in USDC per 1,000 tokens.`,
  )
}

function parsePrice(id: string, text: string): ListPrice {
  const [inputPer1k, outputPer1k, mark, ...rest] = text.split('/').map((part) => part.trim())
  const isWellFormed = rest.length === 0 && (mark === undefined || mark === 'reasoning')
  if (!id || !inputPer1k || !outputPer1k || !isWellFormed) {
    throw new RangeError(`${id || text} must be written as id=input/output or id=input/output/reasoning.`)
  }
  return { inputPer1k, outputPer1k, hidesReasoning: mark === 'reasoning' }
}
