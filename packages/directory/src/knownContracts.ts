/** The contracts that agents know: a deposit in any other may be lost. */
import { Deployment } from '@drain/core'
import { type Address, isAddressEqual } from 'viem'
import type { Settings } from './settings.ts'

/** Those of the settings, and those that are published with the protocol. */
export function knownContracts({
  chains,
}: Pick<Settings, 'chains'>): (chainId: number, contract: Address) => boolean {
  const all = [...chains.map(({ deployment }) => deployment), ...Deployment.deployments]
  return (chainId, contract) =>
    all.some((one) => one.chainId === chainId && isAddressEqual(one.contract, contract))
}
