/** What an `evm`/`charge` challenge asks for, read with suspicion: the other side wrote it. */
import type { Deployment } from '@drain/core'
import { type Address, isAddress, isAddressEqual, zeroAddress } from 'viem'
import { type Challenge, decodeRequest } from '../codec/challenge.ts'
import { usdcDecimals } from '../usdc.ts'

export type ChargeRequest = {
  /** Base units. */
  amount: bigint
  recipient: Address
}

/**
 * The charge that a challenge asks for, or `undefined` where it is no charge in this deployment's token and chain that a plain
 * authorization can pay.
 */
export function readChargeRequest(
  { method, intent, request: encoded }: Challenge,
  { chainId, token }: Deployment.Deployment,
): ChargeRequest | undefined {
  if (method !== 'evm' || intent !== 'charge') return undefined
  const request = decodeRequest(encoded)
  if (!request) return undefined
  const { amount, currency, recipient, methodDetails } = request
  if (typeof amount !== 'string' || !/^[1-9][0-9]{0,19}$/.test(amount)) return undefined
  if (!isAddressText(currency) || !isAddressEqual(currency, token)) return undefined
  if (!isAddressText(recipient) || isAddressEqual(recipient, zeroAddress)) return undefined
  if (typeof methodDetails !== 'object' || methodDetails === null) return undefined
  const details = methodDetails as Record<string, unknown>
  if (details.chainId !== chainId) return undefined
  if (details.decimals !== undefined && details.decimals !== usdcDecimals) return undefined
  if (!Array.isArray(details.credentialTypes) || !details.credentialTypes.includes('authorization'))
    return undefined
  // One authorization pays one recipient.
  if (details.splits !== undefined && !(Array.isArray(details.splits) && details.splits.length === 0))
    return undefined
  return { amount: BigInt(amount), recipient: recipient.toLowerCase() as Address }
}

/** The checksum of mixed-case addresses needn't be right. */
function isAddressText(value: unknown): value is Address {
  return typeof value === 'string' && isAddress(value, { strict: false })
}
