/** A request that can be sent again with a payment. */
export type ReplayableRequest = {
  url: URL
  method: string
  /** What the caller wants done with redirects; paid requests never follow them. */
  redirect: RequestRedirect
  headers: Headers
  signal: AbortSignal | undefined
  /** The body as text, where there is one that may be JSON. */
  text(): string | undefined
  /** `init` for another attempt. */
  init(overrides: { headers: Headers; redirect: RequestRedirect }): RequestInit
}

/** Takes what `fetch` takes. Bodies that can be read only once, or are written anew each time, are read into memory. */
export async function replayable(
  input: RequestInfo | URL,
  init: RequestInit | undefined,
): Promise<ReplayableRequest> {
  if (input instanceof Request) return fromRequest(new Request(input, init))
  const { body: given, duplex: _, ...rest } = (init ?? {}) as RequestInit & { duplex?: unknown }
  const method = (init?.method ?? 'GET').toUpperCase()
  const headers = new Headers(init?.headers)
  let body = given
  if (isOneTime(given)) {
    const once = new Response(given)
    const type = once.headers.get(contentType)
    if (type !== null && !headers.has(contentType)) headers.set(contentType, type)
    body = new Uint8Array(await once.arrayBuffer())
  }
  return make(new URL(input, globalThis.location?.href), method, headers, body, rest)
}

async function fromRequest(request: Request): Promise<ReplayableRequest> {
  const { cache, credentials, integrity, keepalive, mode, redirect, referrerPolicy, signal } = request
  const body = request.body ? new Uint8Array(await request.arrayBuffer()) : undefined
  const rest: RequestInit = { cache, credentials, integrity, keepalive, redirect, referrerPolicy, signal }
  // A page's own navigation can't be repeated as such.
  if (mode !== 'navigate') rest.mode = mode
  return make(new URL(request.url), request.method, request.headers, body, rest)
}

function make(
  url: URL,
  method: string,
  headers: Headers,
  body: BodyInit | null | undefined,
  rest: RequestInit,
): ReplayableRequest {
  return {
    url,
    method,
    redirect: rest.redirect ?? 'follow',
    headers,
    signal: rest.signal ?? undefined,
    text() {
      if (typeof body === 'string') return body
      if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return new TextDecoder().decode(body)
      return undefined
    },
    init: ({ headers, redirect }) => ({
      ...rest,
      method,
      ...(body == null ? {} : { body }),
      headers,
      redirect,
    }),
  }
}

const contentType = 'content-type'

/** Streams, the iterables that Node's `fetch` takes, and forms: these get another boundary whenever they are sent. */
function isOneTime(body: unknown): body is ReadableStream | FormData {
  if (typeof body !== 'object' || body === null) return false
  return body instanceof ReadableStream || body instanceof FormData || Symbol.asyncIterator in body
}
