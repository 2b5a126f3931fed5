/** Cross-origin rules of a provider: any origin, never with credentials; a preflight is never asked to pay. */
import { Headers as Wire } from '@drain/core'

const allowedHeaders = Wire.corsAllowed.join(', ')
const exposedHeaders = Wire.corsExposed.join(', ')

/** Lets browsers of any origin read a response. */
export function allowOrigin(headers: Headers): void {
  headers.set('Access-Control-Allow-Origin', '*')
  headers.set('Access-Control-Expose-Headers', exposedHeaders)
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

export function isPreflight(request: Request): boolean {
  return request.method === 'OPTIONS' && request.headers.has('Access-Control-Request-Method')
}
