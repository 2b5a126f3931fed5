import { isPreflight } from './cors.ts'
import type { RequestHead } from './RequestHead.ts'
import { pathOf } from './requestUrl.ts'

const paths = new Set([
  '/health',
  '/llms.txt',
  '/metrics',
  '/openapi.json',
  '/v1/close-channel',
  '/v1/docs',
  '/v1/models',
  '/v1/open',
  '/v1/pricing',
  '/v1/signing',
  '/v1/vouchers',
])
const folders = ['/v1/admin/', '/v1/channels/']

/** Whether the paywall's own endpoints may answer a request: all others need not be made a `Request` for them. */
export function mayBeEndpoint(head: RequestHead): boolean {
  const path = pathOf(head.url)
  return paths.has(path) || folders.some((folder) => path.startsWith(folder)) || isPreflight(head)
}
