import { UntrustedProviderError } from '@drain/core'
import type { ReplayableRequest } from './ReplayableRequest.ts'
import { discard } from './readJson.ts'

/**
 * The answer to a paid request, unless it redirects it: the payment doesn't go elsewhere. A caller that asked for redirects
 * gets them.
 *
 * @throws {UntrustedProviderError}
 */
export async function passRedirect(request: ReplayableRequest, response: Response): Promise<Response> {
  if (!isRedirect(response) || request.redirect === 'manual') return response
  await discard(response)
  const to = response.headers.get('location')
  throw new UntrustedProviderError(
    `${request.url.origin} redirects a paid request${to ? ` to ${to}` : ''}; the payment did not go there.`,
    'Call the final address directly, if you trust it.',
  )
}

/** Browsers hide what a redirect they didn't follow says. */
function isRedirect(response: Response): boolean {
  return response.type === 'opaqueredirect' || [301, 302, 303, 307, 308].includes(response.status)
}
