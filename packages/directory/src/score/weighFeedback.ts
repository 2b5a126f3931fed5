/**
 * How much money stands behind the reports on providers. Pure: everything that counts is given.
 *
 * A consumer's blame weighs what it paid, and holds for all listings of who was paid: whoever withdraws one and registers another with the
 * same wallet doesn't get rid of it. Its praise weighs at most what it has paid to providers of others, for a thief's money that goes
 * to the thief costs nothing. "Others" is decided for two providers at a time, never through a third: else whoever has listings on
 * two hosts that strangers share would make one owner of all of them, and their customers' praise would count no more.
 */

import { groupBy } from '../health/groupBy.ts'

/** A provider, as far as it matters whose it is. */
export type Listing = {
  id: string
  /** An address, or the hash of a token. */
  owner: string
  /** Who is paid, lower case, where the owner has proven that this is its own address. Without it nothing is counted. */
  payee?: string | undefined
  /** Where it is paid: money of another chain, such as one for tests, says nothing about it. */
  chainId: number | null
  /** See `hostOf`. */
  host: string
}

/** What a consumer says of a provider, and with how much money: the sum of the channels that it says so of. */
export type Report = {
  providerId: string
  consumer: string
  outcome: 'success' | 'failure'
  /** Base units that went from those channels to the provider's payee. */
  paid: bigint
}

/** What a consumer has paid to an address on a chain in all, in base units. */
export type Payment = { consumer: string; payee: string; chainId: number; paid: bigint }

export type Weight = { praised: bigint; blamed: bigint }

/**
 * The weights of `wanted`.
 *
 * @param market Those that count as others, and those that reports name.
 * @param reports All reports of everybody who has reported on one of `wanted`, or on another listing of its owner; each of money that went
 * to the listing's payee on its chain.
 * @param payments All payments of the same.
 */
export function weighFeedback({
  wanted,
  market,
  reports,
  payments,
}: {
  wanted: Iterable<Listing>
  market: Market
  reports: readonly Report[]
  payments: readonly Payment[]
}): Map<string, Weight> {
  const praisesOf = groupBy(reports.filter(isPraise), ({ providerId }) => providerId)
  const blamesOf = groupBy(
    reports.filter((report) => !isPraise(report)),
    ({ providerId }) => market.get(providerId)?.payee,
  )
  const reportsBy = groupBy(reports, ({ consumer }) => consumer)
  const paymentsBy = groupBy(payments, ({ consumer }) => consumer)
  const weights = new Map<string, Weight>()
  for (const listing of wanted) {
    const weight = { praised: 0n, blamed: 0n }
    for (const { consumer, paid } of praisesOf.get(listing.id) ?? []) {
      if (isInsider(consumer, listing, market)) continue
      const praised = praiseOf(reportsBy.get(consumer) ?? [], listing, market)
      const outside = paidToOthers(paymentsBy.get(consumer) ?? [], listing, market)
      weight.praised += praised <= outside ? paid : (paid * outside) / praised
    }
    for (const { consumer, providerId, paid } of (listing.payee && blamesOf.get(listing.payee)) || []) {
      const isHere = market.get(providerId)?.chainId === listing.chainId
      if (isHere && !isInsider(consumer, listing, market)) weight.blamed += paid
    }
    weights.set(listing.id, weight)
  }
  return weights
}

const isPraise = ({ outcome }: Report) => outcome === 'success'

/** What a consumer praises with, at all providers of a listing's owner. */
function praiseOf(reports: readonly Report[], listing: Listing, market: Market): bigint {
  return reports.reduce((sum, { outcome, providerId, paid }) => {
    const other = outcome === 'success' ? market.get(providerId) : undefined
    return other && isRelated(other, listing) ? sum + paid : sum
  }, 0n)
}

function paidToOthers(payments: readonly Payment[], listing: Listing, market: Market): bigint {
  return payments.reduce((sum, { payee, chainId, paid }) => {
    const found = chainId === listing.chainId ? market.payees.get(payee) : undefined
    return found && !isPayeeRelated(payee, found, listing) ? sum + paid : sum
  }, 0n)
}

/** Whether one may be taken for the other's owner. */
function isRelated(one: Listing, other: Listing): boolean {
  return (
    one.owner === other.owner ||
    one.host === other.host ||
    (one.payee !== undefined && one.payee === other.payee)
  )
}

function isPayeeRelated(payee: string, { owners, hosts }: Payee, listing: Listing): boolean {
  return payee === listing.payee || owners.has(listing.owner) || hosts.has(listing.host)
}

/** Whether a consumer is the provider's own, or one of its owner's others. */
function isInsider(consumer: string, listing: Listing, market: Market): boolean {
  const found = market.payees.get(consumer)
  return (
    consumer === listing.owner ||
    consumer === listing.payee ||
    (found !== undefined && isPayeeRelated(consumer, found, listing))
  )
}

type Payee = { owners: Set<string>; hosts: Set<string> }

export type Market = {
  get(id: string): Listing | undefined
  /** Those that are paid, with who they may be. */
  payees: ReadonlyMap<string, Payee>
}

/**
 * @param listed Those whose customers count as customers of others.
 * @param get Any listing, also those that agents don't see.
 */
export function createMarket(listed: Iterable<Listing>, get: (id: string) => Listing | undefined): Market {
  const payees = new Map<string, Payee>()
  for (const { payee, owner, host } of listed) {
    if (!payee) continue
    const found = payees.get(payee) ?? { owners: new Set(), hosts: new Set() }
    found.owners.add(owner)
    found.hosts.add(host)
    payees.set(payee, found)
  }
  return { get, payees }
}
