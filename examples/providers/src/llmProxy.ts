/**
 * A language model behind any API that speaks as OpenAI's does, streaming and not, paid by its tokens. The upstream's `usage`
 * is believed; examples/ai-provider counts itself, too, and knows of reasoning, images and upstreams that lie.
 */
import { createPaywall, type Payment, type Paywall, type Pricing, Quote, sse } from '@drain-protocol/sdk'
import { sqliteLedger } from '@drain-protocol/sdk/sqlite'
import type { Context } from 'hono'
import { parseObject, readBody } from './body.ts'
import { lengthOf, passedOn } from './chatParameters.ts'
import { describeChat } from './describeChat.ts'
import { meterChat, usageOf } from './meterChat.ts'
import { Refusal, refused } from './problem.ts'
import { Hono, listen, type ProviderOptions, type RunningProvider } from './provider.ts'

export type Upstream = { baseUrl: string; apiKey: string }
export type ModelPrices = ReadonlyMap<string, Pricing.Tokens>

/** Sells some models of an upstream, at prices of its own. */
export async function startLlmProxy({
  port,
  upstream,
  prices,
  ledger = sqliteLedger('llm-proxy.db'),
  ...chain
}: ProviderOptions & { upstream: Upstream; prices: ModelPrices }): Promise<RunningProvider> {
  const models = Object.fromEntries(prices)
  const paywall = createPaywall({ ...chain, ledger, name: 'LLM proxy', models, docs: describeChat(prices) })
  const app = new Hono()
  app.post(
    '/v1/chat/completions',
    chatRoute(paywall, upstream, () => prices),
  )
  return listen(paywall, app, port)
}

/** `POST /v1/chat/completions`, at the prices of the moment. */
export function chatRoute(
  paywall: Paywall,
  upstream: Upstream,
  pricesNow: () => ModelPrices,
): (context: Context) => Promise<Response> {
  return async ({ req }) => {
    try {
      const bytes = await readBody(req.raw, 262_144)
      const body = parseObject(bytes, 'The body')
      const pricing = typeof body.model === 'string' ? pricesNow().get(body.model) : undefined
      if (!pricing) throw new Refusal(404, 'model_not_found', 'GET /v1/models lists the models there are.')
      const quote = Quote.chat(pricing, body)
      const isStream = body.stream === true
      // The upstream stops where the quote does.
      const asked = { ...passedOn(body), max_tokens: quote.maxTokens, stream: isStream }

      const answer = async (payment: Payment): Promise<Response> => {
        if (isStream) {
          const streamed = { ...asked, stream_options: { include_usage: true } }
          const given = await ask(upstream, streamed, payment.signal)
          return sse(payment, meterChat(given, pricing, quote, lengthOf(asked.messages)))
        }
        // Not ended with the consumer: the upstream charges for it either way.
        const completion = await (await ask(upstream, asked)).json()
        payment.charge(pricing, usageOf(completion, Buffer.byteLength(JSON.stringify(completion)), quote))
        return Response.json(completion)
      }
      const price = isStream ? Quote.inSteps(pricing, quote) : quote.amount
      const work = (payment: Payment) => answer(payment).catch(refused)
      return await paywall.handle(req.raw, price, work, { body: bytes })
    } catch (error) {
      return refused(error)
    }
  }
}

/** What the upstream fails at costs nothing, and its words go to nobody: they may be about the operator's account. */
async function ask({ baseUrl, apiKey }: Upstream, body: object, signal?: AbortSignal): Promise<Response> {
  const patience = AbortSignal.timeout(300_000)
  const answer = await fetch(`${baseUrl}/chat/completions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${apiKey}` },
    body: JSON.stringify(body),
    redirect: 'error',
    signal: signal ? AbortSignal.any([signal, patience]) : patience,
  }).catch(() => undefined)
  if (answer?.ok) return answer
  if (answer?.status === 400)
    throw new Refusal(400, 'invalid_request', 'The model refuses the request. Check its parameters.')
  throw new Refusal(502, 'upstream_failed', 'The model is out of reach. Try again later.')
}
