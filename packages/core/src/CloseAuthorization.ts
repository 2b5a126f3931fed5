/** The provider's signed consent to close a channel at a final amount, which the consumer submits. */
import { type Hex, keccak256, stringToHex } from 'viem'
import { hashWords, hexToBytes, typedDataDigest } from './Bytes.ts'
import * as Domain from './Domain.ts'

export type Unsigned = {
  channelId: Hex
  /** Cumulative total the provider is owed, in base units, including what it already claimed. */
  finalAmount: bigint
}

export type CloseAuthorization = Unsigned & { signature: Hex }

export const types = {
  CloseAuthorization: [
    { name: 'channelId', type: 'bytes32' },
    { name: 'finalAmount', type: 'uint256' },
  ],
} as const

const typeHash = keccak256(stringToHex('CloseAuthorization(bytes32 channelId,uint256 finalAmount)'))

/** EIP-712 typed data, as wallets sign it. */
export function typedData(authorization: Unsigned, deployment: Parameters<typeof Domain.from>[0]) {
  const { channelId, finalAmount } = authorization
  return {
    domain: Domain.from(deployment),
    types,
    primaryType: 'CloseAuthorization' as const,
    message: { channelId, finalAmount },
  }
}

/** The EIP-712 digest that `cooperativeClose` checks. */
export function digest(authorization: Unsigned, domainSeparator: Hex): Uint8Array {
  return typedDataDigest(
    hexToBytes(domainSeparator),
    hashWords(typeHash, authorization.channelId, authorization.finalAmount),
  )
}
