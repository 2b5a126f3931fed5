import type { Ask } from './asking.ts'
import { jsonRequest, routeOf } from './asking.ts'

/** The longest example that is sent, in characters. */
const longest = 16_384

/**
 * A request that a route takes, as the API's `/openapi.json` gives it: some look at the body before they ask for a payment.
 * `undefined` where there is none.
 */
export async function exampleRequest(ask: Ask, apiUrl: string, path: string) {
  const { response } = await ask(routeOf(apiUrl, '/openapi.json'), { maxBytes: 1 << 20 })
  if (response?.status !== 200) return undefined
  let document: unknown
  try {
    document = JSON.parse(response.text)
  } catch {
    return undefined
  }
  const content = at(document, 'paths', path, 'post', 'requestBody', 'content', 'application/json')
  const [named] = Object.values((at(content, 'examples') ?? {}) as object)
  const example = at(content, 'example') ?? at(named, 'value')
  if (typeof example !== 'object' || example === null) return undefined
  const request = jsonRequest(example)
  return (request.body ?? '').length <= longest ? request : undefined
}

/** A chat that docs show as a line of JSON: what an agent would send that has read them. `undefined` where there is none. */
export function documentedRequest(docs: string) {
  for (const line of docs.split('\n')) {
    if (!line.startsWith('{') || line.length > longest) continue
    try {
      const body: unknown = JSON.parse(line)
      if (typeof at(body, 'model') === 'string' && Array.isArray(at(body, 'messages')))
        return jsonRequest(body)
    } catch {}
  }
  return undefined
}

function at(value: unknown, ...path: readonly string[]): unknown {
  let current = value
  for (const key of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, key)) return undefined
    current = (current as Record<string, unknown>)[key]
  }
  return current
}
