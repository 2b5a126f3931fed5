/** The models of an upstream, at its prices and a margin; its list is read again and again, and the last good one kept. */
import { createPaywall, type Paywall, Pricing } from '@drain-protocol/sdk'
import { sqliteLedger } from '@drain-protocol/sdk/sqlite'
import type { JsonObject } from './body.ts'
import { describeChat } from './describeChat.ts'
import { chatRoute, type ModelPrices, type Upstream } from './llmProxy.ts'
import { Hono, listen, type ProviderOptions, type RunningProvider } from './provider.ts'

/**
 * Sells what the upstream lists. `refresh` reads its list now; it is read every `refreshMs`, a minute by default, anyway.
 *
 * @throws {Error} When the upstream has no list at the start: there is nothing to sell.
 */
export async function startUpstreamModels({
  port,
  upstream,
  markupBasisPoints = 2_000,
  refreshMs = 60_000,
  ledger = sqliteLedger('upstream-models.db'),
  ...chain
}: ProviderOptions & {
  upstream: Upstream
  markupBasisPoints?: number
  refreshMs?: number
}): Promise<RunningProvider & { refresh(): Promise<void> }> {
  let prices = await readPrices(upstream, markupBasisPoints)
  const docs = `GET /v1/models and GET /v1/pricing list what there is now.\n\n${describeChat(prices)}`
  const name = 'All models of an upstream'
  const paywall = createPaywall({ ...chain, ledger, name, docs, routes: [] })
  async function refresh(): Promise<void> {
    try {
      prices = await readPrices(upstream, markupBasisPoints)
    } catch (error) {
      // What was listed goes on being sold at its price. An upstream that stays away is told by its 502s.
      paywall.logger.warn(`the list of models could not be read: ${(error as Error).message}`)
    }
  }
  const app = new Hono()
  app.post(
    '/v1/chat/completions',
    chatRoute(paywall, upstream, () => prices),
  )
  const { url, close } = await listen(
    listing(paywall, () => prices),
    app,
    port,
  )
  const timer = setInterval(refresh, refreshMs)
  return { url, refresh, close: () => close().finally(() => clearInterval(timer)) }
}

/** The paywall, with the models of the moment in `/v1/pricing` and `/v1/models`. */
function listing(paywall: Paywall, pricesNow: () => ModelPrices): Paywall {
  const endpoints: Paywall['endpoints'] = async (request, asker) => {
    const response = await paywall.endpoints(request, asker)
    const path = new URL(request.url).pathname
    if (!response?.ok || (path !== '/v1/pricing' && path !== '/v1/models')) return response
    const list = [...pricesNow()]
    const models = Object.fromEntries(list.map(([id, pricing]) => [id, Pricing.toJson(pricing)]))
    const created = Math.floor(Date.now() / 1_000)
    const data = list.map(([id]) => ({ id, object: 'model', created, owned_by: 'upstream' }))
    const told = path === '/v1/pricing' ? { models } : { data }
    return Response.json(
      { ...((await response.json()) as JsonObject), ...told },
      { headers: response.headers },
    )
  }
  return Object.create(paywall, { endpoints: { value: endpoints } })
}

/**
 * The upstream's `GET /models`, as OpenRouter writes it: `{data: [{id, pricing: {prompt, completion}}]}`, in USD per token. What has
 * no price that is understood is not sold.
 */
async function readPrices({ baseUrl, apiKey }: Upstream, markup: number): Promise<ModelPrices> {
  const headers = { Authorization: `Bearer ${apiKey}` }
  const signal = AbortSignal.timeout(10_000)
  const response = await fetch(`${baseUrl}/models`, { headers, redirect: 'error', signal })
  if (!response.ok) throw new Error(`the upstream answers ${response.status}`)
  const { data } = (await response.json()) as { data?: unknown }
  const prices = new Map<string, Pricing.Tokens>()
  for (const model of Array.isArray(data) ? data.slice(0, 2_000) : []) {
    try {
      const [inputPer1k, outputPer1k] = [model.pricing.prompt, model.pricing.completion].map(
        (usdPerToken: string) => Pricing.parseRate(usdPerToken) * 1_000n,
      )
      // What costs nothing upstream is limited there, and would be used up by everybody.
      if (typeof model.id !== 'string' || !inputPer1k || !outputPer1k) continue
      const pricing = { type: 'tokens', inputPer1k, outputPer1k, defaultMaxTokens: 1_024 } as const
      prices.set(model.id, Pricing.withMarkup(pricing, markup))
    } catch {
      // Such as a price of -1, for what depends on the request.
    }
  }
  if (prices.size === 0) throw new Error('the upstream lists no model with a price')
  return prices
}
