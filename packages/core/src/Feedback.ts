/** What a consumer tells a directory about a provider, signed so that it can be counted once. Off chain only. */
import { type Address, type Hex, zeroHash } from 'viem'
import { InvalidFormatError } from './Errors.ts'

export type Outcome = 'success' | 'failure'
export type Protocol = 'drain' | 'mpp'

export type Unsigned = {
  /** As the directory names the provider. */
  providerId: string
  outcome: Outcome
  protocol: Protocol
  /** A few words; empty for none. At most {@link longestReason} characters. */
  reason: string
  /** The channel that it is about; `undefined` for payments without one. */
  channelId: Hex | undefined
  /** Unix seconds. */
  issuedAt: bigint
}

export type Feedback = Unsigned & { consumer: Address; signature: Hex }

export const longestReason = 500

export const types = {
  Feedback: [
    { name: 'providerId', type: 'string' },
    { name: 'outcome', type: 'string' },
    { name: 'protocol', type: 'string' },
    { name: 'reason', type: 'string' },
    { name: 'channelId', type: 'bytes32' },
    { name: 'issuedAt', type: 'uint256' },
  ],
} as const

/**
 * EIP-712 typed data, as wallets sign it. The domain has no contract, so that no signature for one can be mistaken for it.
 *
 * @throws {InvalidFormatError} A reason that is too long.
 */
export function typedData(feedback: Unsigned, { chainId }: { chainId: number }) {
  const { providerId, outcome, protocol, reason, channelId = zeroHash, issuedAt } = feedback
  if (reason.length > longestReason) {
    throw new InvalidFormatError('feedback', `the reason is longer than ${longestReason} characters`)
  }
  return {
    domain: { name: 'DRAIN Feedback', version: '1', chainId },
    types,
    primaryType: 'Feedback' as const,
    message: { providerId, outcome, protocol, reason, channelId, issuedAt },
  }
}

/** The body of `POST /api/feedback`. */
export function toJson(feedback: Feedback): Record<string, string> {
  const { providerId, outcome, protocol, reason, channelId, issuedAt, consumer, signature } = feedback
  return {
    providerId,
    outcome,
    protocol,
    ...(reason && { reason }),
    ...(channelId && { channelId }),
    issuedAt: issuedAt.toString(),
    consumer,
    signature,
  }
}
