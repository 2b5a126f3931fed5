/** Style, scripts and pictures of the pages, kept in memory under the hash of what is in them. */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { joinStyles } from './joinStyles.ts'

const types: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
}

type Asset = { bytes: Buffer<ArrayBuffer>; zipped?: Buffer<ArrayBuffer>; type: string; version: string }

export type Assets = {
  /** Its address; `undefined` where there is none of that name. */
  urlOf(name: string): string | undefined
  /** The answer to a request for one; `undefined` where there is none of that name. */
  answer(name: string, request: Request): Response | undefined
}

/**
 * Reads folders once; a folder that isn't there is an empty one, and the first that has a name gives it. The sources, which the build has not
 * joined, have `styles/` in place of `style.css`.
 */
export function createAssets(folders: readonly string[]): Assets {
  const all = new Map<string, Asset>()
  function add(name: string, content: () => Buffer<ArrayBuffer>): void {
    const type = types[extname(name)]
    if (!type || all.has(name)) return
    const bytes = content()
    all.set(name, { bytes, type, version: createHash('sha256').update(bytes).digest('hex').slice(0, 12) })
  }
  for (const folder of folders) {
    for (const name of existsSync(folder) ? readdirSync(folder) : []) {
      const path = join(folder, name)
      if (name === 'styles') add('style.css', () => Buffer.from(joinStyles(path)))
      else add(name, () => Buffer.from(readFileSync(path)))
    }
  }
  return {
    urlOf(name) {
      const asset = all.get(name)
      return asset && `/assets/${name}?v=${asset.version}`
    },
    answer(name, request) {
      const asset = all.get(name)
      return asset && answerWith(asset, request)
    },
  }
}

function answerWith(asset: Asset, request: Request): Response {
  const isVersion = new URL(request.url).searchParams.get('v') === asset.version
  const takesZipped = /\bgzip\b/.test(request.headers.get('accept-encoding') ?? '')
  const isZipped = takesZipped && asset.type !== types['.wasm'] && asset.bytes.length > 1_024
  const headers: Record<string, string> = {
    'Content-Type': asset.type,
    'Cache-Control': isVersion ? 'public, max-age=31536000, immutable' : 'public, no-cache',
    'X-Content-Type-Options': 'nosniff',
    'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'",
    'Cross-Origin-Resource-Policy': 'same-origin',
    ETag: `"${asset.version}${isZipped ? '-gz' : ''}"`,
    Vary: 'Accept-Encoding',
  }
  if (request.headers.get('if-none-match') === headers.ETag)
    return new Response(null, { status: 304, headers })
  if (!isZipped) return new Response(asset.bytes, { headers })
  asset.zipped ??= Buffer.from(gzipSync(asset.bytes, { level: 9 }))
  return new Response(asset.zipped, { headers: { ...headers, 'Content-Encoding': 'gzip' } })
}
