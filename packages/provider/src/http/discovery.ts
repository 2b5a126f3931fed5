/** What a provider sells, for those who don't know it: an OpenAPI document as MPP's discovery draft has it, and `llms.txt`. */
import { type Pricing, Usdc } from '@drain/core'
import type { Paywall } from './Paywall.ts'
import type { RequestHead } from './RequestHead.ts'
import type { Schemes } from './schemes.ts'

/** A route of the application, as it is told to those who look for one. What is asked in the end is what its 402 says. */
export type RouteInput = {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** As OpenAPI writes it: `/jokes/{id}`. */
  path: string
  summary?: string | undefined
  /** What a request costs, in USDC: `'0.001'`. Without it the price depends on the request. `'0'` is free. */
  price?: string | undefined
  /** OpenAPI's requestBody. With an `example` others can try the route. */
  requestBody?: Record<string, unknown> | undefined
}

type Route = Omit<RouteInput, 'price'> & { price: bigint | undefined; cost: string }

export type Discovery = {
  /** `GET /openapi.json` */
  openApi(request: RequestHead): Promise<Response>
  /** `GET /llms.txt` */
  llms(): Response
}

/**
 * The documents of a paywall, or `undefined` where there is nothing to tell: the application may have its own then.
 *
 * @throws {InvalidAmountError}
 */
export function createDiscovery(paywall: Paywall, schemes: Schemes | undefined): Discovery | undefined {
  const { config, deployment } = paywall
  const routes = (config.routes ?? chatRoutes(config.models ?? {})).map(parse)
  if (routes.length === 0) return undefined
  const title = config.name ?? 'DRAIN provider'

  function operation(route: Route, request: RequestHead) {
    const { summary, requestBody, price, cost } = route
    const responses = { '200': { description: 'Successful response' } }
    const shared = { ...(summary && { summary }), ...(requestBody && { requestBody }) }
    if (price === 0n) return { ...shared, responses }
    const amount = price?.toString() ?? null
    const offers = (schemes?.offered(request, paywall.originOf(request), price) ?? []).map((name) => {
      const [method, intent] = name.split('/')
      return { method, intent, amount, currency: deployment.token, description: cost }
    })
    return {
      ...shared,
      ...(offers.length > 0 && { 'x-payment-info': { offers } }),
      responses: { ...responses, '402': { description: 'Payment Required' } },
    }
  }

  function openApi(request: RequestHead) {
    const paths: Record<string, Record<string, unknown>> = {}
    for (const route of routes) {
      const item = paths[route.path] ?? {}
      item[route.method.toLowerCase()] = operation(route, request)
      paths[route.path] = item
    }
    return {
      openapi: '3.1.0',
      info: { title, version: '1.0.0' },
      'x-service-info': { docs: { apiReference: '/v1/docs', llms: '/llms.txt' } },
      paths,
    }
  }

  const text = [
    `# ${title}`,
    '> Requests are paid in USDC, one by one: no account, no API key.',
    `## Routes\n\n${routes.map(({ method, path, summary, cost }) => `- \`${method} ${path}\`: ${summary ? `${summary}. ` : ''}${cost}`).join('\n')}`,
    '## Paying\n\n- [How to pay](/v1/docs): channels, vouchers, what answers tell\n- [Prices](/v1/pricing)\n- [OpenAPI](/openapi.json)',
  ].join('\n\n')

  return {
    async openApi(request) {
      await schemes?.ready()
      return new Response(JSON.stringify(openApi(request)), { headers: headersOf('application/json') })
    },
    llms: () => new Response(`${text}\n`, { headers: headersOf('text/plain; charset=utf-8') }),
  }
}

const headersOf = (type: string) => ({
  'Content-Type': type,
  'Access-Control-Allow-Origin': '*',
  'Cache-Control': 'public, max-age=300',
})

function parse({ price: input, ...route }: RouteInput): Route {
  const price = input === undefined ? undefined : Usdc.parse(input)
  const cost = price === undefined ? 'The price depends on the request' : `${Usdc.display(price)} per request`
  return { ...route, price, cost: price === 0n ? 'Free' : cost }
}

/** What sells models sells them by chat, unless it says otherwise. */
function chatRoutes(models: Record<string, Pricing.Pricing>): RouteInput[] {
  const names = Object.keys(models)
  const [model] = names
  if (!model) return []
  const schema = {
    type: 'object',
    required: ['model', 'messages'],
    properties: {
      model: { type: 'string', enum: names },
      messages: { type: 'array', items: { type: 'object' } },
      max_tokens: { type: 'integer' },
      stream: { type: 'boolean' },
    },
  }
  const example = { model, messages: [{ role: 'user', content: 'Hello' }], max_tokens: 16 }
  return [
    {
      method: 'POST',
      path: '/v1/chat/completions',
      summary: 'Chat completions, as OpenAI has them',
      requestBody: { required: true, content: { 'application/json': { schema, example } } },
    },
  ]
}
