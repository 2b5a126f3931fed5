/** mppx's own `evm` client with USDC on Polygon, and within bounds. */
import { PaymentRejectedError, UntrustedProviderError, Usdc } from '@drain/core'
import { Challenge } from 'mppx'
import { evm } from 'mppx/client'
import type { Account } from 'viem'
import { credentialHeaders } from '../codec/challenge.ts'
import { createAskedChallenges } from './askedChallenges.ts'
import { amoyUsdc, polygonUsdc } from './chargeAssets.ts'
import { credentialIn, urlOf } from './Exchange.ts'

export type UsdcChargeOptions = {
  account: Account
  /** The most that one request may cost, in USDC. There is no default: what isn't bounded is signed whatever it says. */
  maxAmount: string
  /** Both by default. */
  chains?: readonly (137 | 80002)[] | undefined
  /** Realms that are taken beside the origin, host and name of the URL, from whatever server. */
  realms?: readonly string[] | undefined
  /** What requests are sent with; the global `fetch` as it is now by default. */
  fetch?: typeof globalThis.fetch | undefined
  /** Unix milliseconds. */
  now?: (() => number) | undefined
}

/** How far ahead a challenge may end, in milliseconds: what answers it is a cheque until then. */
const longest = 600_000
/** The most credentials whose server is remembered. */
const rememberedAtMost = 1_000

/**
 * mppx's client method `evm`/`charge`, set up for USDC on Polygon and Amoy and nothing else, and for the server that was asked: one
 * payment for each request, of at most `maxAmount`, that ends in ten minutes at the latest. No x402, whose payments are bound to no
 * server. There is no limit over all requests, and none of a day; a {@link createDrainClient} with `evmCharge` has those.
 *
 * mppx must send through the method's `fetch`: a challenge alone doesn't say which server it came from, nor whether the request was
 * paid before. It never follows a redirect with a payment. Beside {@link session}, one sends through the other.
 *
 * Trap: a lost answer isn't asked for again. Send an `Idempotency-Key` of your own, and the request again under it.
 *
 * @example
 * ```ts
 * const usdc = usdcCharge({ account, maxAmount: '0.05' })
 * const mppx = Mppx.create({ methods: [usdc], fetch: usdc.fetch, polyfill: false })
 * ```
 * @throws {InvalidAmountError}
 * @throws {DrainError} From mppx's fetch: `mpp_fetch_missing`, `untrusted_provider`, `payment_rejected`.
 */
export function usdcCharge(
  options: UsdcChargeOptions,
): ReturnType<typeof evm.charge> & { fetch: typeof globalThis.fetch } {
  // As it is now: mppx may replace the global one by a fetch that pays.
  const { fetch: send = globalThis.fetch.bind(globalThis), now = Date.now } = options
  const { account, chains = [137, 80002], realms } = options
  const currencies = [polygonUsdc, amoyUsdc].filter((_, index) => chains.includes(index === 0 ? 137 : 80002))
  const maxAmount = Usdc.format(Usdc.parse(options.maxAmount))
  const stock = evm.charge({ account, currencies, networks: [...chains], maxAmount })
  const asked = createAskedChallenges<{ origin: string; isPaid: boolean }>({
    ...{ method: stock.name, intent: stock.intent, realms, now },
  })
  /** Where credentials may go. */
  const origins = new Map<string, string>()

  const createCredential: typeof stock.createCredential = async (given) => {
    const { origin, isPaid } = asked.recall(given.challenge)
    if (isPaid) {
      const message = `${origin} asks for a payment again after it was paid.`
      throw new PaymentRejectedError('payment_refused', message, 'Nothing more was signed.')
    }
    assertBounded(given.challenge, origin, now())
    const credential = await stock.createCredential(given)
    origins.set(credential, origin)
    const [oldest] = origins.keys()
    if (origins.size > rememberedAtMost && oldest !== undefined) origins.delete(oldest)
    return credential
  }

  const fetch: typeof globalThis.fetch = async (input, init) => {
    const credential = credentialIn(input, init)
    const origin = credential === undefined ? undefined : origins.get(credential)
    if (origin !== undefined && urlOf(input).origin !== origin) {
      const message = `A payment for ${origin} was to be sent to ${urlOf(input).origin}.`
      throw new UntrustedProviderError(message, 'Nothing was sent.')
    }
    const response = await send(input, origin === undefined ? init : { ...init, redirect: 'manual' })
    if (origin !== undefined && isRedirect(response)) {
      await response.body?.cancel()
      const message = `${origin} redirects a paid request; the payment did not go there.`
      throw new UntrustedProviderError(message, 'Call the final address directly, if you trust it.')
    }
    if (response.status === 402) {
      const url = response.url === '' ? urlOf(input) : new URL(response.url)
      asked.remember(response, url, { origin: url.origin, isPaid: credential !== undefined })
    }
    return response
  }

  return { ...stock, canHandleChallenge: ({ challenge }) => isPlain(challenge), createCredential, fetch }
}

/** x402 in mppx's form has these. */
function isPlain({ request }: Challenge.Challenge): boolean {
  return request.scheme === undefined && request.network === undefined
}

function assertBounded(challenge: Challenge.Challenge, origin: string, now: number): void {
  const { expires } = challenge
  const header = Challenge.credentialHeader(challenge).toLowerCase()
  const isNamed = credentialHeaders.some((name) => name.toLowerCase() === header)
  const isShort = expires === undefined || Date.parse(expires) <= now + longest
  if (isPlain(challenge) && isNamed && isShort) return
  throw new UntrustedProviderError(
    isShort
      ? `${origin} asks for a payment in another form than that of evm/charge.`
      : `${origin} asks for a payment that it could take until ${expires}.`,
    'Nothing was signed. Payments here end in ten minutes at the latest.',
  )
}

/** Browsers hide what a redirect they didn't follow says. */
function isRedirect({ type, status }: Response): boolean {
  return type === 'opaqueredirect' || [301, 302, 303, 307, 308].includes(status)
}
