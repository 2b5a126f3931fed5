import type { DrainClient } from '@drain/consumer'
import { Method } from 'mppx'
import { drainSession, intent, methodName } from '../method/drainSession.ts'
import { createAskedChallenges } from './askedChallenges.ts'
import { drainWire } from './drainWire.ts'
import { type Asked, createExchange, credentialIn, type Exchange, urlOf } from './Exchange.ts'

/**
 * The method `drain`, intent `session`, for mppx's own client: it pays from the channels of a {@link DrainClient}, within its
 * limits, whatever mppx asks to be signed.
 *
 * mppx must send through the method's `fetch`: a challenge alone doesn't say which server it came from, nor what was charged in
 * the end. It passes on what isn't paid by this method, and never follows a redirect with a credential.
 *
 * @example
 * ```ts
 * const drain = session(createDrainClient({ account, chainId: 137, limits }))
 * const mppx = Mppx.create({ methods: [drain], fetch: drain.fetch, polyfill: false })
 * await mppx.fetch('https://mpp.example/joke')
 * ```
 * @param options.fetch What requests are sent with; the global `fetch` as it is now by default.
 * @throws {DrainError} From mppx's fetch: `mpp_fetch_missing`, and all that the client's `fetch` throws.
 */
export function session(
  client: Pick<DrainClient, 'pay'>,
  options: { fetch?: typeof globalThis.fetch | undefined; now?: (() => number) | undefined } = {},
): Method.Client<typeof drainSession, undefined> & { fetch: typeof globalThis.fetch } {
  // As it is now: mppx may replace the global one by a fetch that pays.
  const { fetch: send = globalThis.fetch.bind(globalThis), now = Date.now } = options
  const wire = drainWire({ now })
  const asked = createAskedChallenges<Asked>({ method: methodName, intent, now })
  const exchanges = new Map<string, Exchange>()

  const fetch: typeof globalThis.fetch = async (input, init) => {
    const credential = credentialIn(input, init)
    const exchange = credential && exchanges.get(credential)
    if (exchange) return exchange.send(input, init)
    const again = input instanceof Request && input.body ? input.clone() : input
    const response = await send(input, init)
    if (response.status === 402) {
      const kept = await inMemory(again, init?.body)
      const url = response.url === '' ? urlOf(input) : new URL(response.url)
      asked.remember(response, url, { response: headOf(response), input: kept.input, init }, kept.bytes)
    }
    return response
  }

  const method = Method.toClient(drainSession, {
    async createCredential({ challenge }) {
      const exchange = createExchange({ client, wire, send, asked: asked.recall(challenge) })
      const credential = await exchange.credential
      exchanges.set(credential, exchange)
      exchange.ended.finally(() => exchanges.delete(credential))
      return credential
    },
  })
  return Object.assign(method, { fetch })
}

/** The same answer without its body, which stays the caller's. */
function headOf({ status, headers, url, redirected }: Response): Response {
  return Object.defineProperties(new Response(null, { status, headers }), {
    url: { value: url },
    redirected: { value: redirected },
  })
}

/** What was asked, with a body that is read, and how long that is in bytes. What can't be told counts as nothing. */
async function inMemory(
  input: RequestInfo | URL,
  body: BodyInit | null | undefined,
): Promise<{ input: RequestInfo | URL; bytes: number }> {
  if (input instanceof Request && input.body && body == null) {
    const read = await input.arrayBuffer()
    return { input: new Request(input, { body: read }), bytes: read.byteLength }
  }
  if (typeof body === 'string') return { input, bytes: body.length }
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return { input, bytes: body.byteLength }
  return { input, bytes: body instanceof Blob ? body.size : 0 }
}
