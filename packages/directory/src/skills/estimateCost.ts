/** What a skill is likely to cost, from the prices that its providers list at the moment. */
import { Pricing, Usdc } from '@drain/core'
import { modelOf, type PlannedStep } from './planSteps.ts'
import { templatesOf } from './templatesOf.ts'

export type StepCost = {
  step: string
  provider: string
  model: string | null
  /** Decimal USDC, rounded up; `null` where no price is known. */
  usdc: string | null
  /** What it is made of, or why it isn't known. */
  note: string
}

export type Cost = {
  currency: 'USDC'
  /** `null` where the price of a step isn't known. */
  total: string | null
  note: string
  steps: StepCost[]
}

/** Base units, where a price is known: what is likely, and the most that is reserved for it. */
type Amounts = { likely: bigint; most: bigint }

export function estimateCost(planned: readonly PlannedStep[]): Cost {
  const steps = planned.map(costOf)
  const isKnown = steps.every(({ usdc }) => usdc !== null)
  const total = steps.reduce((sum, { usdc }) => sum + Usdc.parse(usdc ?? '0'), 0n)
  const known = isKnown ? Usdc.format(total) : null
  const note = isKnown
    ? 'An estimate from the prices of the moment; what a step really costs is told with its answer.'
    : `Not all prices are known: those that are come to ${Usdc.format(total)} USDC.`
  return { currency: 'USDC', total: known, note, steps }
}

/**
 * What a channel for these steps should hold: twice what may be reserved for them, in whole cents, and as much as providers ask for by
 * default. `undefined` where a price isn't known.
 */
export function depositFor(planned: readonly PlannedStep[]): string | undefined {
  let sum = 0n
  for (const one of planned) {
    const amounts = amountsOf(one)
    if (!amounts) return undefined
    sum += amounts.most
  }
  const cents = (2n * sum + 9_999n) / 10_000n
  return Usdc.format((cents > leastCents ? cents : leastCents) * 10_000n)
}

const leastCents = 10n

function costOf(planned: PlannedStep): StepCost {
  const { step, provider } = planned
  const model = provider ? modelOf(step, provider) : undefined
  const shared = { step: step.id, provider: step.provider, model: model?.id ?? step.model ?? null }
  if (!provider) return { ...shared, usdc: null, note: 'The provider is not listed here.' }
  if (model === null)
    return { ...shared, usdc: null, note: 'The provider does not list this model at the moment.' }
  const amounts = amountsOf(planned)
  if (!amounts)
    return { ...shared, usdc: null, note: 'The provider lists no price; it names one when it is asked.' }
  return { ...shared, usdc: Usdc.format(amounts.likely), note: noteOf(planned) }
}

function noteOf({ step, provider }: PlannedStep): string {
  const isFlat = provider && isFlatPrice(modelOf(step, provider)?.outputPer1kTokens)
  if (isFlat)
    return step.estimatedUnits
      ? `${step.estimatedUnits} × the listed price`
      : 'one request at the listed price'
  const { input, output } = tokensOf(step)
  return `${input} tokens in and ${output} out, ${step.estimatedTokens ? 'as its author estimates' : 'a guess from the length of the request'}`
}

function amountsOf({ step, provider }: PlannedStep): Amounts | undefined {
  const model = provider && modelOf(step, provider)
  if (!model || model.inputPer1kTokens === null) return undefined
  try {
    const input = Pricing.parseRate(model.inputPer1kTokens)
    if (isFlatPrice(model.outputPer1kTokens)) {
      const [whole = '1', fraction = ''] = (step.estimatedUnits ?? '1').split('.')
      const millionths = BigInt(whole + fraction.padEnd(6, '0'))
      const likely = divideUp(input * millionths, 10n ** 18n)
      return { likely, most: likely }
    }
    const tokens = {
      type: 'tokens',
      inputPer1k: input,
      outputPer1k: Pricing.parseRate(model.outputPer1kTokens ?? '0'),
    } as const
    const pricing = { ...tokens, defaultMaxTokens: Pricing.fallbackMaxTokens }
    const { input: inputTokens, output: outputTokens } = tokensOf(step)
    const most = Math.max(step.request.maxTokens ?? Pricing.fallbackMaxTokens, outputTokens)
    return {
      likely: Pricing.cost(pricing, { inputTokens, outputTokens }),
      most: Pricing.cost(pricing, { inputTokens: 2 * inputTokens, outputTokens: most }),
    }
  } catch {
    // A price that is too fine, or none at all.
    return undefined
  }
}

/** Such as of a tool: one price per request is listed as that of the input. */
const isFlatPrice = (output: string | null | undefined) =>
  output === null || output === undefined || /^0(?:\.0+)?$/.test(output)

/** Where its author doesn't say: a third of the characters, twice for what is put in, and half of the longest answer. */
function tokensOf(step: PlannedStep['step']): { input: number; output: number } {
  if (step.estimatedTokens) return step.estimatedTokens
  const length = templatesOf(step).reduce((sum, { template }) => sum + JSON.stringify(template).length, 0)
  return {
    input: Math.ceil((2 * length) / 3),
    output: Math.ceil((step.request.maxTokens ?? Pricing.fallbackMaxTokens) / 2),
  }
}

const divideUp = (value: bigint, by: bigint) => (value + by - 1n) / by
