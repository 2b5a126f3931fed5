/** Who may be paid: origins, and what a 402 says against what is known. */
import { type Deployment, type Headers, UntrustedProviderError } from '@drain/core'
import { type Address, isAddressEqual } from 'viem'

/**
 * Refuses to pay over connections that others can read and change.
 *
 * @throws {UntrustedProviderError}
 */
export function assertPayable(url: URL): void {
  if (url.protocol === 'https:') return
  if (url.protocol === 'http:' && isLoopback(url.hostname)) return
  throw new UntrustedProviderError(
    `${url.origin} asks for a payment without TLS.`,
    'Use https, or a provider on this machine.',
  )
}

function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' ||
    hostname.endsWith('.localhost') ||
    hostname === '[::1]' ||
    // The URL parser has turned every way to write an IPv4 address into four decimal numbers.
    /^127\.\d+\.\d+\.\d+$/.test(hostname)
  )
}

/**
 * Compares an offer with the deployment this client is set up for, and with the provider this origin is known by.
 *
 * @throws {UntrustedProviderError}
 */
export function assertOffer(
  offer: Headers.Offer & { token?: Address | undefined },
  known: { origin: string; deployment: Deployment.Deployment; provider: Address | undefined },
): void {
  const { origin, deployment, provider } = known
  if (offer.chainId !== deployment.chainId) {
    throw new UntrustedProviderError(
      `${origin} wants to be paid on chain ${offer.chainId}, this client pays on ${deployment.chainId}.`,
      'Use a client for that chain, if you trust the provider.',
    )
  }
  if (!isAddressEqual(offer.contract, deployment.contract)) {
    throw new UntrustedProviderError(
      `${origin} names the contract ${offer.contract}, this client knows ${deployment.contract}.`,
      'Use a client with that contract’s deployment, if you have checked it.',
    )
  }
  if (offer.token && !isAddressEqual(offer.token, deployment.token)) {
    throw new UntrustedProviderError(
      `${origin} wants to be paid in the token ${offer.token}, this client pays in ${deployment.token}.`,
      'Use a client with that token’s deployment, if you trust the provider.',
    )
  }
  assertProvider(origin, provider, offer.provider)
}

/**
 * An origin's channels have one provider.
 *
 * @throws {UntrustedProviderError}
 */
export function assertProvider(origin: string, known: Address | undefined, named: Address): void {
  if (!known || isAddressEqual(named, known)) return
  throw new UntrustedProviderError(
    `${origin} was opened for the provider ${known} and now names ${named}.`,
    'If the change is real, close the channels of this origin first.',
  )
}
