import type { PaymentScheme, ReplayableRequest, SchemeOffer } from '@drain/consumer'
import { DrainError } from '@drain/core'
import { type Method, Challenge as MppxChallenge } from 'mppx'
import { type Address, isAddress, isAddressEqual } from 'viem'
import { type Challenge, credentialHeaders, parseChallenges, serializeChallenge } from '../codec/challenge.ts'
import { isRealmOf } from './realm.ts'
import { headerOf } from './sessionOffer.ts'

export type MppxSchemeOptions = {
  /** The only token that is paid in. It counts as US dollars, and must have six decimals, as the limits do. */
  asset: { chainId: number; address: Address; decimals?: number | undefined }
  /** What the method takes beside a challenge, where it takes anything. */
  context?: unknown
  /** Realms that are taken beside the origin, host and name of the URL, from whatever server; a domain that it is in, say. */
  realms?: readonly string[] | undefined
  /** The clock, in Unix milliseconds. */
  now?: (() => number) | undefined
}

/** The longest that a challenge may be open, in milliseconds: what answers it may be a cheque that long. */
const longest = 900_000

/**
 * A payment method of mppx's own (`tempo.charge`, say) as a scheme of `createDrainClient`: it pays single requests of today's MPP
 * services, under the same limits and at most once each. Nothing of it is used unless it is passed.
 *
 * The method is trusted to pay no more than the challenge's `amount`, to its `recipient`; what a challenge names is compared with
 * `asset` first.
 *
 * @example
 * ```ts
 * const charge = tempo.charge({ account })
 * const asset = { chainId: 4217, address: '0x20c000000000000000000000b9537d11c60e8b50' } as const
 * const client = createDrainClient({ account, chainId: 137, limits, schemes: [mppxScheme(charge, { asset })] })
 * ```
 * @throws {DrainError} `mpp_asset_unsupported`: an asset of other decimals than six. `mpp_intent_unsupported`: a method of another
 * intent than `charge`, whose challenge doesn't say what is paid in the end.
 */
export function mppxScheme(method: Method.AnyClient, options: MppxSchemeOptions): PaymentScheme {
  const { asset, realms = [], now = Date.now } = options
  if (asset.decimals !== undefined && asset.decimals !== 6) {
    throw new DrainError(
      'mpp_asset_unsupported',
      `Limits count six decimals, the asset has ${asset.decimals}.`,
      {
        action: 'Pay in a token of six decimals that is worth a dollar.',
      },
    )
  }
  const name = `${method.name}/${method.intent}`
  if (method.intent !== 'charge') {
    throw new DrainError('mpp_intent_unsupported', `Only charges can be paid by a scheme, not ${name}.`, {
      action: 'Pass a method of the intent charge, such as tempo.charge.',
    })
  }

  function isMeant({ realm, expires }: Challenge, url: URL): boolean {
    const until = expires === undefined ? Number.NaN : Date.parse(expires)
    return (realms.includes(realm) || isRealmOf(realm, url)) && until <= now() + longest
  }

  function readChallenge(wire: Challenge, url: URL): SchemeOffer | undefined {
    if (wire.method !== method.name || wire.intent !== method.intent || !isMeant(wire, url)) return undefined
    const header = headerOf(wire).toLowerCase()
    if (!credentialHeaders.some((one) => one.toLowerCase() === header)) return undefined
    const challenge = attempt(() => MppxChallenge.deserialize(serializeChallenge(wire)))
    if (!challenge || method.canHandleChallenge?.({ challenge }) === false) return undefined
    const { amount, currency, recipient, methodDetails } = challenge.request
    const { chainId } = (methodDetails ?? {}) as { chainId?: unknown }
    if (typeof amount !== 'string' || !/^(?:0|[1-9][0-9]{0,77})$/.test(amount)) return undefined
    if (chainId !== asset.chainId || !isAddressIn(currency) || !isAddressEqual(currency, asset.address)) {
      return undefined
    }
    if (!isAddressIn(recipient)) return undefined
    return {
      amount: BigInt(amount),
      payee: recipient,
      expires: Date.parse(wire.expires as string),
      async pay(request: ReplayableRequest, fetch: typeof globalThis.fetch) {
        const { context } = options
        const parsed = method.context && context !== undefined ? method.context.parse(context) : undefined
        const given = parsed === undefined ? { challenge } : { challenge, context: parsed }
        const headers = new Headers(request.headers)
        headers.set(headerOf(wire), await method.createCredential(given))
        request.signal?.throwIfAborted()
        return { response: await fetch(request.url.href, request.init({ headers, redirect: 'manual' })) }
      },
    }
  }

  return {
    name,
    readOffer(response, { url }) {
      for (const challenge of parseChallenges(response.headers.get('WWW-Authenticate'))) {
        const offer = readChallenge(challenge, url)
        if (offer) return offer
      }
      return undefined
    },
  }
}

function isAddressIn(value: unknown): value is Address {
  return typeof value === 'string' && isAddress(value, { strict: false })
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
