/** Cross-origin rules of a provider: any origin, never with credentials; a preflight is never asked to pay. */
import { Headers as Wire } from '@drain/core'
import type { RequestHead } from './RequestHead.ts'

const allowedHeaders = Wire.corsAllowed.join(', ')
const exposedHeaders = Wire.corsExposed.join(', ')

/** The headers that let browsers of any origin read a response. */
export const exposed: Readonly<Record<string, string>> = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Expose-Headers': exposedHeaders,
}

/** Lets browsers of any origin read a response. */
export function allowOrigin(headers: Headers): void {
  for (const name in exposed) headers.set(name, exposed[name] as string)
}

/** The answer to a preflight. */
export function preflight(): Response {
  return new Response(null, {
    status: 204,
    headers: {
      'Access-Control-Allow-Origin': '*',
      'Access-Control-Allow-Methods': 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS',
      'Access-Control-Allow-Headers': allowedHeaders,
      'Access-Control-Max-Age': '86400',
    },
  })
}

export function isPreflight(request: RequestHead): boolean {
  return request.method === 'OPTIONS' && request.headers.has('Access-Control-Request-Method')
}
