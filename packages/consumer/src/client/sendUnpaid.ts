import type { ReplayableRequest } from './ReplayableRequest.ts'
import { discard } from './readJson.ts'

/** As many as `fetch` follows. */
const mostRedirects = 20

/**
 * Sends a request that carries no payment; answers with the request that got the response, too: the last one, where redirects
 * were followed. `fetch` doesn't tell what became of method and body on the way, and whoever pays has to send the same. So here
 * they are followed by its rules (https://fetch.spec.whatwg.org/#http-redirect-fetch), where the runtime shows them and a
 * method can change.
 */
export async function sendUnpaid(
  fetch: typeof globalThis.fetch,
  request: ReplayableRequest,
): Promise<{ response: Response; last: ReplayableRequest }> {
  if (request.redirect !== 'follow' || keepsMethod(request) || hidesRedirects()) {
    return { response: await fetch(request.url.href, request.init(request)), last: request }
  }
  let last = request
  for (let redirects = 0; ; redirects++) {
    const { headers, url } = last
    const response = await fetch(url.href, last.init({ headers, redirect: 'manual' }))
    const location = isRedirect(response) ? response.headers.get('location') : null
    if (location === null) {
      if (redirects > 0) Object.defineProperty(response, 'redirected', { value: true })
      return { response, last }
    }
    await discard(response)
    if (redirects === mostRedirects) throw new TypeError(`${request.url.href} redirects without end`)
    last = redirected(last, new URL(location, url), response.status)
  }
}

/** Whether a request stays what it is wherever it is redirected. */
export function keepsMethod({ method }: ReplayableRequest): boolean {
  return method === 'GET' || method === 'HEAD'
}

function isRedirect({ status }: Response): boolean {
  return [301, 302, 303, 307, 308].includes(status)
}

/** Pages and their workers see no redirect that they don't follow. */
function hidesRedirects(): boolean {
  return 'document' in globalThis || 'importScripts' in globalThis
}

function redirected(request: ReplayableRequest, url: URL, status: number): ReplayableRequest {
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw new TypeError(`${request.url.href} redirects to ${url.protocol}`)
  }
  const headers = new Headers(request.headers)
  if (url.origin !== request.url.origin) for (const name of secretHeaders) headers.delete(name)
  const becomesGet =
    (status === 303 && !keepsMethod(request)) || ([301, 302].includes(status) && request.method === 'POST')
  if (!becomesGet) return { ...request, url, headers }
  for (const name of bodyHeaders) headers.delete(name)
  return {
    ...request,
    url,
    method: 'GET',
    headers,
    text: () => undefined,
    init(overrides) {
      const { body: _, ...rest } = request.init(overrides)
      return { ...rest, method: 'GET' }
    },
  }
}

const secretHeaders = ['authorization', 'cookie', 'proxy-authorization']
const bodyHeaders = [
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-type',
]
