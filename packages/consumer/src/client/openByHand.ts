import { type Deployment, Duration, UntrustedProviderError, Usdc } from '@drain/core'
import { type Address, getAddress, isAddress } from 'viem'
import type { ChannelBook } from './ChannelBook.ts'
import type { ChannelOpener } from './ChannelOpener.ts'
import type { OpenOptions } from './createDrainClient.ts'
import * as Limits from './Limits.ts'
import * as Origin from './Origin.ts'
import type { PriceList } from './PriceList.ts'
import type { ChannelRecord } from './records.ts'

/** Opens a channel because the caller wants it: to whom the origin's price list says. */
export async function openByHand(
  client: {
    deployment: Deployment.Deployment
    book: ChannelBook
    limits: Limits.Limits
    pricesOf: (origin: string) => PriceList
    opener: ChannelOpener
  },
  { origin: text, amount, duration, gasless }: OpenOptions,
): Promise<ChannelRecord> {
  const { deployment, book, limits, pricesOf, opener } = client
  const url = new URL(text)
  Origin.assertPayable(url)
  const { origin } = url
  const prices = pricesOf(origin)
  await prices.load()
  const provider = assertPriced(prices.offer(), { origin, deployment, provider: book.providerOf(origin) })
  Limits.assertAllowed(limits, origin, provider)
  const need = { origin, provider, quote: 1n, terms: prices.terms, canRelay: prices.has('open') }
  return opener.open(need, {
    amount: amount === undefined ? undefined : Usdc.parse(amount),
    duration: duration === undefined ? undefined : Duration.parse(duration),
    gasless,
    byHand: true,
  })
}

/**
 * Who is to be paid by a price list, compared in the same way as an offer.
 *
 * @throws {UntrustedProviderError}
 */
function assertPriced(
  { provider, contract, chainId }: Record<'provider' | 'contract' | 'chainId', unknown>,
  known: { origin: string; deployment: Deployment.Deployment; provider: Address | undefined },
): Address {
  if (!isAddress(String(provider), { strict: false }) || !isAddress(String(contract), { strict: false })) {
    throw new UntrustedProviderError(
      `${known.origin} has no price list that says who is to be paid.`,
      'Check the origin: its /v1/pricing must name provider, contract and chainId.',
    )
  }
  const offer = { provider: provider as Address, contract: contract as Address, chainId: Number(chainId) }
  Origin.assertOffer({ ...offer, features: [] }, known)
  return getAddress(offer.provider.toLowerCase())
}
