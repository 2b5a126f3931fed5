import { Headers as Wire } from '@drain/core'
import type { Hex } from 'viem'
import { allowOrigin } from './cors.ts'

/** Responses that carry costs already: a handler may answer twice with the same one, if it has no body. */
const priced = new WeakSet<Response>()

/** A paid response with what it cost, or with its channel where a stream tells the cost at its end. */
export function withCosts(response: Response, costs: Wire.Costs | { channelId: Hex }): Response {
  if (priced.has(response)) return withCosts(copyOf(response), costs)
  const { headers } = response
  try {
    allowOrigin(headers)
  } catch {
    // Responses of `fetch` and redirects can't be changed.
    return withCosts(copyOf(response), costs)
  }
  if ('cost' in costs) Wire.writeCosts(headers, costs)
  else for (const name of Wire.names.channel) headers.set(name, costs.channelId)
  if (!headers.has('Cache-Control')) headers.set('Cache-Control', 'private')
  priced.add(response)
  return response
}

function copyOf({ body, status, statusText, headers }: Response): Response {
  return new Response(body, { status, statusText, headers })
}
