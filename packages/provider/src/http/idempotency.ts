/** The request header `Idempotency-Key` (https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/). */
import { DrainError } from '@drain/core'
import { sha256, toHex } from 'viem'
import type { IdempotencyKey } from '../ledger/Ledger.ts'
import { type Body, concatBytes, readBody } from './body.ts'
import type { RequestHead } from './RequestHead.ts'
import { pathOf, searchOf } from './requestUrl.ts'
import { problem } from './responses.ts'

/** A request's key, or the response that refuses it. */
export type KeyRead = { ok: true; key: IdempotencyKey } | { ok: false; response: Response }

/** The body of a request with a key was read before, or never handed over: two different requests would look the same. */
export class BodyUnavailableError extends DrainError {
  override readonly name = 'BodyUnavailableError'
  constructor() {
    super('body_unavailable', 'A request has an Idempotency-Key, but no body to be hashed with it.', {
      action: 'Pass `body` to `handle` or `begin`.',
    })
  }
}

/** Where the body of a request comes from when it can't be read from the request itself, because it was read before. */
export type BodySource = Uint8Array | (() => Uint8Array | Promise<Uint8Array>)

export const keyName = 'Idempotency-Key'

const longestKey = 255

/** Why a key can't be used, or nothing. A repeated header arrives as one value with a comma in it. */
export function keyProblem(value: string): string | undefined {
  if (value.length === 0 || value.length > longestKey) return `must have 1 to ${longestKey} characters`
  if (!/^[\x20-\x7e]*$/.test(value)) return 'must be printable ASCII'
  if (value.includes(',')) return 'must be sent once, and have no comma'
  return undefined
}

/**
 * A request's key, hashed with method and path, and its body as a fingerprint, with the query. Reads a copy of the body,
 * at most `maxBytes`, unless `source` has it.
 * @throws {BodyUnavailableError}
 */
export async function readKey(
  request: RequestHead,
  value: string,
  options: { maxBytes: number; source?: BodySource | undefined },
): Promise<KeyRead> {
  const body = await bodyOf(request, options)
  if (!body.ok) return { ok: false, response: problem(body.status, 'invalid_request', body.message) }
  const { method, url } = request
  const [id, fingerprint] = await Promise.all([
    hashOf(JSON.stringify([method, pathOf(url), value])),
    hashOf(`${JSON.stringify([searchOf(url)])}\n`, body.bytes),
  ])
  return { ok: true, key: { id, fingerprint } }
}

async function bodyOf(
  request: RequestHead,
  { maxBytes, source }: { maxBytes: number; source?: BodySource | undefined },
): Promise<Body> {
  if (!source) {
    if (!(request instanceof Request)) throw new BodyUnavailableError()
    return readBody(copyOf(request), maxBytes)
  }
  const bytes = source instanceof Uint8Array ? source : await readFrom(source)
  if (!bytes) return { ok: false, status: 400, message: 'The body cannot be read.' }
  if (bytes.length > maxBytes) {
    return { ok: false, status: 413, message: `The body is larger than ${maxBytes} bytes.` }
  }
  return { ok: true, bytes: bytes as Uint8Array<ArrayBuffer> }
}

/** What a source has, or nothing when it fails, as it does when the client leaves. */
async function readFrom(source: Exclude<BodySource, Uint8Array>): Promise<Uint8Array | undefined> {
  try {
    return await source()
  } catch {
    return undefined
  }
}

function copyOf(request: Request): Request {
  const { headers } = request
  const length = headers.get('Content-Length')
  const isMissing = !request.body && (headers.has('Transfer-Encoding') || (length !== null && length !== '0'))
  if (isMissing || request.bodyUsed || request.body?.locked) throw new BodyUnavailableError()
  return request.body ? request.clone() : request
}

const encoder = new TextEncoder()

/** Up to here a hash takes less time than its way to another thread and back, which is where WebCrypto makes it. */
const shortBytes = 4_096

async function hashOf(text: string, bytes?: Uint8Array): Promise<`0x${string}`> {
  const head = encoder.encode(text)
  const whole = bytes ? concatBytes([head, bytes]) : head
  if (whole.length <= shortBytes) return sha256(whole)
  return toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', whole)))
}
