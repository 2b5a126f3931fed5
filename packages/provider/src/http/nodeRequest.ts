/** Requests as Node's servers receive them, seen as the paywall wants them. Building a `Request` costs more than checking a voucher. */
import type { IncomingMessage } from 'node:http'
import type { RequestHead } from './RequestHead.ts'

/** Where a request was sent to, by somebody who knows which proxies to trust. */
export type Target = { protocol: string; host: string | undefined; path: string }

/** A request's head, or `undefined` where its line or a header has no web-standard form. */
export function headOf(req: IncomingMessage, target: Target = targetOf(req)): RequestHead | undefined {
  const url = urlOf(target)
  return url === undefined ? undefined : { method: req.method ?? 'GET', url, headers: headersOf(req) }
}

/** The target as the connection has it: proxies in front are not known. */
export function targetOf(req: IncomingMessage): Target {
  const isEncrypted = 'encrypted' in req.socket && req.socket.encrypted === true
  return { protocol: isEncrypted ? 'https' : 'http', host: req.headers.host, path: req.url ?? '/' }
}

/** A whole `Request`, whose body is read from Node's as it is read, and not before. */
export function requestOf(
  head: RequestHead,
  req: IncomingMessage,
  /** The body, where a parser in front has read the stream. */
  parsed?: unknown,
): Request | undefined {
  try {
    const headers = new Headers()
    for (let index = 0; index < req.rawHeaders.length; index += 2) {
      headers.append(req.rawHeaders[index] ?? '', req.rawHeaders[index + 1] ?? '')
    }
    const { method, url } = head
    if (method === 'GET' || method === 'HEAD') return new Request(url, { method, headers })
    const body = parsed === undefined || !wasRead(req) ? untouched(req) : serialize(parsed)
    if (!(body instanceof ReadableStream)) headers.delete('Content-Length')
    return new Request(url, { method, headers, body, duplex: 'half' } as RequestInit)
  } catch {
    return undefined
  }
}

/** Names in lower case; repeated headers joined, so that none hides another. Node's own `headers` drop some repeats. */
function headersOf({ rawHeaders }: IncomingMessage): RequestHead['headers'] {
  const values = new Map<string, string>()
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] as string).toLowerCase()
    const value = rawHeaders[index + 1] as string
    const before = values.get(name)
    values.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  return {
    get: (name) => values.get(name.toLowerCase()) ?? null,
    has: (name) => values.has(name.toLowerCase()),
  }
}

const origins = new Map<string, string>()
/** The most origins that are remembered: whoever asks names them. */
const rememberedOrigins = 100

/** Paths that a URL parser leaves as they are: nothing to encode, no dot segments, no second host. */
const plainPath = /^\/(?:[\w~!$&'()*+,;=:@?-][\w~!$&'()*+,;=:@/?.-]*)?$/

function urlOf({ protocol, host = 'localhost', path }: Target): string | undefined {
  const base = `${protocol}://${host || 'localhost'}`
  try {
    let origin = origins.get(base)
    if (origin === undefined) {
      origin = new URL(base).origin
      if (origins.size >= rememberedOrigins) origins.clear()
      origins.set(base, origin)
    }
    const isPlain = plainPath.test(path) && !path.includes('/.')
    return isPlain ? origin + path : new URL(path, origin).href
  } catch {
    return undefined
  }
}

/**
 * The body of a request, for its `Idempotency-Key`. Reads it from the stream and puts it back, so that parsers and handlers
 * behind still find it. `undefined` when it was read before and can't be had any more.
 *
 * @param parsed What a parser in front has made of it.
 * @param maxBytes It stops reading soon after that many.
 */
export function bodyOf(
  req: IncomingMessage,
  parsed: unknown,
  maxBytes: number,
): (() => Promise<Uint8Array>) | undefined {
  const before = peeked.get(req)
  if (before) return async () => before
  if (!wasRead(req)) return () => peek(req, maxBytes)
  if (typeof parsed === 'string' || parsed instanceof Uint8Array) return async () => bytesOf(parsed)
  // A form with files, say, leaves only a part of itself in what was parsed.
  const type = req.headers['content-type'] ?? ''
  const isWhole = /^application\/(?:[\w.-]+\+)?json\b|^application\/x-www-form-urlencoded\b/i.test(type)
  if (parsed !== undefined && isWhole) return async () => bytesOf(serialize(parsed))
  const { 'content-length': length, 'transfer-encoding': encoding } = req.headers
  const isEmpty = encoding === undefined && (length === undefined || length === '0')
  return isEmpty ? async () => new Uint8Array() : undefined
}

/** Bodies that were read and put back: a paywall behind another one asks again. */
const peeked = new WeakMap<IncomingMessage, Uint8Array>()

function wasRead(req: IncomingMessage): boolean {
  return req.readableEnded || req.readableDidRead
}

function peek(req: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    // Then nothing tells of its end any more.
    if (req.destroyed && !req.complete) return reject(new Error('The client is gone.'))
    const chunks: Buffer[] = []
    let size = 0
    const settle = () => {
      req.off('readable', onReadable).off('close', onClose).off('error', onClose)
      const bytes = Buffer.concat(chunks)
      // Before the stream notices that it is empty, so that it doesn't end: who reads it next finds all of it.
      if (size > 0) req.unshift(bytes)
      peeked.set(req, bytes)
      resolve(bytes)
    }
    const onClose = () => {
      req.off('readable', onReadable).off('close', onClose).off('error', onClose)
      reject(new Error('The request ended before its body did.'))
    }
    const onReadable = () => {
      while (req.readableLength > 0) {
        const chunk = req.read() as Buffer | null
        if (chunk === null) break
        chunks.push(chunk)
        size += chunk.length
      }
      if (req.complete || size > maxBytes) settle()
    }
    req.on('readable', onReadable).on('close', onClose).on('error', onClose)
    if (req.readableLength > 0 || req.complete) onReadable()
  })
}

function serialize(parsed: unknown): string | Uint8Array<ArrayBuffer> {
  if (parsed instanceof Uint8Array) return parsed as Uint8Array<ArrayBuffer>
  return typeof parsed === 'string' ? parsed : JSON.stringify(parsed)
}

function bytesOf(body: string | Uint8Array): Uint8Array {
  return typeof body === 'string' ? new TextEncoder().encode(body) : body
}

/** The body as a stream that reads nothing until it is read, so that parsers behind still find it. */
function untouched(req: IncomingMessage): ReadableStream<Uint8Array> {
  let chunks: AsyncIterator<Uint8Array> | undefined
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        chunks ??= req[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
        const { done, value } = await chunks.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
    },
    { highWaterMark: 0 },
  )
}
