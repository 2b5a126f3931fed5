/** Answers of the list, ready to be sent: who asks what another asked a moment ago gets the same bytes. */
import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { readQuery } from '../http/readQuery.ts'
import { filterOf, type ListQuery, listQuery, writeCursor } from './listQuery.ts'
import type { Snapshot } from './Snapshot.ts'
import { listingText } from './toListing.ts'

export type PreparedList = {
  body: Buffer
  etag: string
  headers: Record<string, string>
  /** The body, compressed the first time that somebody wants it so. */
  gzip(): Buffer
}

export type PreparedLists = {
  /** @param search What stands behind the `?` of the URL. @throws {Problem} 400 */
  get(search: string): PreparedList
}

const mostKept = 500
/** Of all that are kept, in bytes: whoever asks for everything in a hundred ways fills no more. */
const mostBytes = 64 << 20
/** So long an answer is given though something has changed since: providers are probed all the time. */
const keptMs = 2_000

export function createPreparedLists(snapshot: Snapshot, now: () => number): PreparedLists {
  const kept = new Map<string, PreparedList & { revision: number; madeAt: number }>()
  let bytes = 0

  function forget(search: string): void {
    bytes -= kept.get(search)?.body.length ?? 0
    kept.delete(search)
  }

  return {
    get(search) {
      const known = kept.get(search)
      if (known && (known.revision === snapshot.revision || now() - known.madeAt < keptMs)) return known
      const made = {
        ...prepare(readQuery(listQuery, search), search, snapshot),
        revision: snapshot.revision,
        madeAt: now(),
      }
      forget(search)
      kept.set(search, made)
      bytes += made.body.length
      while (kept.size > mostKept || (bytes > mostBytes && kept.size > 1)) {
        forget(kept.keys().next().value as string)
      }
      return made
    },
  }
}

function prepare(query: ListQuery, search: string, snapshot: Snapshot): PreparedList {
  const { limit, cursor: after, format } = query
  const { records, total, next } = snapshot.select(filterOf(query), { limit, after })
  const nextCursor = next && writeCursor(next)
  const providers = `[${records.map((record) => listingText(record, format)).join(',')}]`
  const meta = JSON.stringify({ total, nextCursor: nextCursor ?? null, format })
  const etag = `W/"${createHash('sha256').update(providers).update(meta).digest('base64url').slice(0, 27)}"`
  const timestamp = new Date(snapshot.readAt).toISOString()
  const body = Buffer.from(
    `{"version":"1.0","providers":${providers},"count":${records.length},"timestamp":"${timestamp}","_meta":${meta}}`,
  )
  let compressed: Buffer | undefined
  return {
    body,
    etag,
    headers: {
      'Content-Type': 'application/json',
      'Cache-Control': 'public, max-age=5, stale-while-revalidate=60',
      ETag: etag,
      Vary: 'Accept-Encoding',
      'Access-Control-Allow-Origin': '*',
      'Access-Control-Expose-Headers': 'ETag, Link, Retry-After',
      'X-Content-Type-Options': 'nosniff',
      ...(nextCursor && { Link: linkTo(search, nextCursor) }),
    },
    gzip() {
      compressed ??= gzipSync(body)
      return compressed
    },
  }
}

function linkTo(search: string, cursor: string): string {
  const parameters = new URLSearchParams(search)
  parameters.set('cursor', cursor)
  return `</api/mcp/providers?${parameters}>; rel="next"`
}
