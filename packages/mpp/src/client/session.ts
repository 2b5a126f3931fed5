import type { DrainClient } from '@drain/consumer'
import { DrainError } from '@drain/core'
import { Method } from 'mppx'
import { parseChallenges } from '../codec/challenge.ts'
import { drainSession, intent, methodName } from '../method/drainSession.ts'
import { drainWire } from './drainWire.ts'
import { type Asked, createExchange, credentialIn, type Exchange } from './Exchange.ts'

/** The most 402s that are remembered while nothing answers them. */
const mostAsked = 1_000

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
  const asked = new Map<string, Asked[]>()
  const exchanges = new Map<string, Exchange>()

  /** Servers may give one challenge to many: whoever answers it first takes the place of one of them. */
  function remember(one: Asked): void {
    for (const { id, method, intent: wanted } of parseChallenges(
      one.response.headers.get('WWW-Authenticate'),
    )) {
      if (method !== methodName || wanted !== intent) continue
      const others = asked.get(id) ?? []
      asked.delete(id)
      asked.set(id, [...others.slice(1 - mostAsked), one])
    }
    const [oldest] = asked.keys()
    if (asked.size > mostAsked && oldest !== undefined) asked.delete(oldest)
  }

  function recall(id: string): Asked {
    const [one, ...others] = asked.get(id) ?? []
    if (others.length > 0) asked.set(id, others)
    else asked.delete(id)
    if (one) return one
    throw new DrainError('mpp_fetch_missing', 'This challenge did not come through the method’s own fetch.', {
      action: 'Create mppx with it: Mppx.create({ methods: [drain], fetch: drain.fetch, polyfill: false }).',
    })
  }

  const fetch: typeof globalThis.fetch = async (input, init) => {
    const credential = credentialIn(input, init)
    const exchange = credential && exchanges.get(credential)
    if (exchange) return exchange.send(input, init)
    const again = input instanceof Request && input.body ? input.clone() : input
    const response = await send(input, init)
    if (response.status === 402) remember({ response: headOf(response), input: again, init })
    return response
  }

  const method = Method.toClient(drainSession, {
    async createCredential({ challenge }) {
      const exchange = createExchange({ client, wire, send, asked: recall(challenge.id) })
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
