/** What a connection test found, as it is kept. */
import { type Address, getAddress, isAddress } from 'viem'
import type { Offer } from '../Provider.ts'
import type { ConnectionTest } from '../probe/ConnectionTest.ts'

const longestDocs = 20_000

/** Whom a server says to pay, where that is an address. */
export function payeeIn(offer: ConnectionTest['offer']): Address | undefined {
  if (offer?.protocol === 'drain') return offer.providerAddress
  const { recipient = '' } = offer ?? {}
  return isAddress(recipient, { strict: false }) ? getAddress(recipient) : undefined
}

/** @param recipient Of MPP services: who was found to be paid before; whoever the server names by default. */
export function toOffer(
  { offer, docs = '' }: Pick<ConnectionTest, 'offer' | 'docs'>,
  recipient = payeeIn(offer),
): Offer {
  const kept = docs.slice(0, longestDocs)
  if (offer?.protocol !== 'drain') {
    return {
      providerAddress: recipient ?? null,
      chainId: offer?.chainId ?? null,
      contract: null,
      models: [],
      docs: kept,
    }
  }
  const models = offer.models.map((model) => ({
    id: model.id,
    name: model.name,
    inputPer1kTokens: model.inputPer1kTokens ?? null,
    outputPer1kTokens: model.outputPer1kTokens ?? null,
  }))
  return {
    providerAddress: offer.providerAddress,
    chainId: offer.chainId,
    contract: offer.contract ?? null,
    models,
    docs: kept,
  }
}
