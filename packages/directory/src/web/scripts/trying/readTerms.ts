/** What a provider says of itself, where that helps somebody to decide. Nothing is signed because of it. */
import { Pricing, Quote, Usdc } from '@drain/core'

export type Terms = {
  /** Whether it sends openings for wallets without gas. */
  canRelay: boolean
  /** The smallest deposit that it takes, in base units. */
  least: bigint
  /** The most that a chat may cost, in base units; `undefined` where nobody knows. */
  quote(chat: { model: string; messages: unknown[]; max_tokens: number }): bigint | undefined
}

/** @throws Where it doesn't answer. */
export async function readTerms(apiUrl: string): Promise<Terms> {
  const { origin } = new URL(apiUrl)
  const response = await fetch(`${origin}/v1/pricing`, { signal: AbortSignal.timeout(10_000) }).catch(
    () => undefined,
  )
  if (!response?.ok) {
    throw new Error(`${origin} does not answer this page. Try again later, or choose another provider.`)
  }
  const json = await response.json()
  const canRelay = Array.isArray(json.features) && json.features.includes('open')
  const least = amountOf(json.terms?.minDeposit)
  const relayed = canRelay ? amountOf(json.terms?.relay?.minDeposit) : 0n
  return {
    canRelay,
    least: least > relayed ? least : relayed,
    quote(chat) {
      try {
        const models = json.models as Record<string, unknown>
        const pricing = Object.hasOwn(models, chat.model) ? Pricing.fromJson(models[chat.model]) : undefined
        if (pricing?.type === 'flat') return Pricing.cost(pricing)
        return pricing?.type === 'tokens' ? Quote.chat(pricing, chat).amount : undefined
      } catch {
        return undefined
      }
    },
  }
}

function amountOf(value: unknown): bigint {
  try {
    return Usdc.parse(value as string)
  } catch {
    return 0n
  }
}
