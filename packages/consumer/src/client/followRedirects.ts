import type { ReplayableRequest } from './ReplayableRequest.ts'
import { discard } from './readJson.ts'
import { keepsMethod, type Unpaid } from './sendUnpaid.ts'

/** As many as `fetch` follows. */
const mostRedirects = 20

/** Sends a request and follows redirects by the rules of `fetch` (https://fetch.spec.whatwg.org/#http-redirect-fetch). */
export async function followRedirects(
  fetch: typeof globalThis.fetch,
  request: ReplayableRequest,
): Promise<Unpaid> {
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

function isRedirect({ status }: Response): boolean {
  return [301, 302, 303, 307, 308].includes(status)
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
