/** Whose a provider is, for weighing reports. */
import { isAddress } from 'viem'
import type { ProviderRecord } from '../Provider.ts'
import type { Listing } from './weighFeedback.ts'

const made = new WeakMap<ProviderRecord, Listing>()

export function listingOf(record: ProviderRecord): Listing {
  const known = made.get(record)
  if (known) return known
  const { id, owner, apiUrl, offer } = record
  // As it was registered: what its server names may change.
  const chainId = record.chainId ?? offer.chainId
  const listing = { id, owner: owner.toLowerCase(), payee: payeeOf(record), chainId, host: hostOf(apiUrl) }
  made.set(record, listing)
  return listing
}

/**
 * The address that a provider is paid at, lower case, where its signature has proven that it is the owner's own. A server can name any
 * address: a thief's would name an honest provider's, and borrow its customers.
 */
export function payeeOf({ owner, offer }: Pick<ProviderRecord, 'owner' | 'offer'>): string | undefined {
  const named = offer.providerAddress?.toLowerCase()
  return isAddress(owner, { strict: false }) && named === owner.toLowerCase() ? named : undefined
}

/** The last two labels of a host's name; an IP address as it is; on this machine, where all share one, the port too. */
export function hostOf(url: string): string {
  const { hostname, host } = new URL(url)
  if (hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.')) return host
  if (/^\[|^\d+\.\d+\.\d+\.\d+$/.test(hostname)) return hostname
  return hostname.replace(/\.$/, '').split('.').slice(-2).join('.')
}
