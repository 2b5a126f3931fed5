/** The `drain/session` offers of a 402, as far as they can be read and are meant for the request. */
import { type Deployment, UntrustedProviderError } from '@drain/core'
import { type Address, isAddress, isAddressEqual } from 'viem'
import { type Challenge, credentialHeaders, decodeRequest, parseChallenges } from '../codec/challenge.ts'
import { intent, methodName } from '../method/drainSession.ts'
import { isRealmOf } from './realm.ts'

export type SessionOffer = {
  challenge: Challenge
  /** The price of the request, in base units. */
  amount: bigint
  token: Address
  provider: Address
  contract: Address
  chainId: number
}

/**
 * The readable offers. Malformed ones are left out, as are those of other methods.
 *
 * @throws {UntrustedProviderError} There are some, and all are for another server.
 */
export function readSessionOffers(response: Response, url: URL): SessionOffer[] {
  const offers = parseChallenges(response.headers.get('WWW-Authenticate'))
    .filter((challenge) => challenge.method === methodName && challenge.intent === intent)
    .flatMap((challenge) => readOffer(challenge) ?? [])
  const own = offers.filter(({ challenge }) => isRealmOf(challenge.realm, url))
  const [foreign] = offers
  if (own.length > 0 || !foreign) return own
  throw new UntrustedProviderError(
    `${url.origin} asks for a payment to ${JSON.stringify(foreign.challenge.realm.slice(0, 100))}.`,
    'A challenge is for the server that sends it. Call that one directly, if you trust it.',
  )
}

/** Whether an offer is for the channels of a deployment. */
export function isFor(
  { chainId, contract, token }: SessionOffer,
  deployment: Deployment.Deployment,
): boolean {
  return (
    chainId === deployment.chainId &&
    isAddressEqual(contract, deployment.contract) &&
    isAddressEqual(token, deployment.token)
  )
}

/** Whether two offers want the same channels; prices may differ. */
export function isAlike(a: SessionOffer, b: SessionOffer): boolean {
  return (
    a.chainId === b.chainId &&
    isAddressEqual(a.contract, b.contract) &&
    isAddressEqual(a.token, b.token) &&
    isAddressEqual(a.provider, b.provider)
  )
}

/** The header that takes the credential of a challenge. */
export function headerOf({ header = credentialHeaders[0] }: Challenge): string {
  return header
}

function readOffer(challenge: Challenge): SessionOffer | undefined {
  // A credential in any other header could pass for something else.
  const header = headerOf(challenge).toLowerCase()
  if (!credentialHeaders.some((name) => name.toLowerCase() === header)) return undefined
  const request = decodeRequest(challenge.request)
  const details = request?.methodDetails as Record<string, unknown> | undefined
  const [amount, chainId] = [request?.amount, details?.chainId]
  const [token, provider, contract] = [request?.currency, request?.recipient, details?.escrowContract]
  if (!isAmount(amount) || !Number.isSafeInteger(chainId)) return undefined
  if (!isPlainAddress(token) || !isPlainAddress(provider) || !isPlainAddress(contract)) return undefined
  return { challenge, amount: BigInt(amount), token, provider, contract, chainId: chainId as number }
}

function isAmount(value: unknown): value is string {
  return typeof value === 'string' && /^(?:0|[1-9][0-9]{0,77})$/.test(value)
}

/** Of any case: who is named is compared as bytes. */
function isPlainAddress(value: unknown): value is Address {
  return typeof value === 'string' && isAddress(value, { strict: false })
}
