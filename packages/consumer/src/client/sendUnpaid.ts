import type { ReplayableRequest } from './ReplayableRequest.ts'

/** A response that carries no payment, and the request that got it: the last one, where redirects were followed. */
export type Unpaid = { response: Response; last: ReplayableRequest }

/**
 * Sends a request that carries no payment. `fetch` doesn't tell what became of method and body on the way of redirects, and whoever
 * pays has to send the same: so they are followed here, where the runtime shows them and a method can change.
 */
export async function sendUnpaid(
  fetch: typeof globalThis.fetch,
  request: ReplayableRequest,
): Promise<Unpaid> {
  if (request.redirect !== 'follow' || keepsMethod(request) || hidesRedirects()) {
    return { response: await fetch(request.url.href, request.init(request)), last: request }
  }
  const { followRedirects } = await import('./followRedirects.ts')
  return followRedirects(fetch, request)
}

/** Whether a request stays what it is wherever it is redirected. */
export function keepsMethod({ method }: ReplayableRequest): boolean {
  return method === 'GET' || method === 'HEAD'
}

/** Pages and their workers see no redirect that they don't follow. */
function hidesRedirects(): boolean {
  return 'document' in globalThis || 'importScripts' in globalThis
}
