/** What a connection test found, as it is kept. */
import type { Address } from 'viem'
import type { Offer } from '../Provider.ts'
import type { ConnectionTest } from '../probe/ConnectionTest.ts'

const longestDocs = 20_000

export function toOffer(
  { offer, docs = '' }: Pick<ConnectionTest, 'offer' | 'docs'>,
  recipient?: Address,
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
