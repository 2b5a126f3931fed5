/** What the script `try` gets to know of a provider and of the contract that it is paid through. */
import type { Deployment } from '@drain/core'
import type { Address } from 'viem'
import type { Model, ProviderRecord } from '../../Provider.ts'
import type { Settings } from '../../settings.ts'

export type Trial = {
  id: string
  name: string
  /** Without a slash at the end. */
  apiUrl: string
  payee: Address
  models: readonly Model[]
  streaming: boolean
  /** This directory's own: what the provider says is only compared with it. */
  deployment: Deployment.Deployment
}

/** `undefined` for a provider that a page can't pay, see {@link notToTry}. */
export function trialOf(record: ProviderRecord, { chains }: Pick<Settings, 'chains'>): Trial | undefined {
  const { id, apiUrl, protocol, chainId, profile, offer } = record
  const contract = offer.contract?.toLowerCase()
  const chain = chains.find(
    ({ deployment }) => deployment.chainId === chainId && deployment.contract.toLowerCase() === contract,
  )
  if (protocol !== 'drain' || !chain || !offer.providerAddress) return undefined
  const { name, streaming } = profile
  const { models, providerAddress: payee } = offer
  return { id, name, apiUrl, payee, models, streaming, deployment: chain.deployment }
}

export function notToTry({ protocol }: ProviderRecord): string {
  return protocol === 'mpp'
    ? 'It is paid through MPP, for which this page has no wallet. Its page shows how to pay it with drain-mcp.'
    : 'It is paid through a contract that this directory doesn’t know. Pay it with a client of your own, if you trust that contract.'
}
