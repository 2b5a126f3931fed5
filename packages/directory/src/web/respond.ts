/** A page as an answer: framed, with its policy, and the same one only once. */
import { createHash } from 'node:crypto'
import type { Page } from './Page.ts'
import { layout } from './parts/layout.ts'
import type { Site } from './Site.ts'

/** No script, style or frame but this directory's own: text that got past the escaping would still do nothing. */
export function policyOf({ connect = [], wasm = false }: Pick<Page, 'connect' | 'wasm'> = {}): string {
  return [
    "default-src 'none'",
    `script-src 'self'${wasm ? " 'wasm-unsafe-eval'" : ''}`,
    "style-src 'self'",
    "img-src 'self' https: data:",
    `connect-src ${["'self'", ...connect].join(' ')}`,
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ')
}

/** On every page and text. The referrer stays: without one, browsers send forms with `Origin: null`. */
export const safeHeaders = {
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'same-origin',
  'X-Frame-Options': 'DENY',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), microphone=(), geolocation=(), browsing-topics=()',
}

export async function respond(site: Site, page: Page, request: Request): Promise<Response> {
  const text = String(await layout(site, page))
  const status = page.status ?? 200
  const headers: Record<string, string> = {
    ...safeHeaders,
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': policyOf(page),
    'Cache-Control': page.isPrivate || status >= 400 ? 'no-store' : 'public, no-cache',
    ...(page.indexed === false && { 'X-Robots-Tag': 'noindex' }),
  }
  if (status === 200 && !page.isPrivate) {
    headers.ETag = `W/"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`
    if (request.headers.get('if-none-match') === headers.ETag)
      return new Response(null, { status: 304, headers })
  }
  return new Response(text, { status, headers })
}
