/**
 * A consumer's signed request about its channel, off chain only: it proves to the provider who asks, so that a stranger
 * can neither read a channel's state nor freeze it.
 */
import { type Hex, keccak256, stringToHex } from 'viem'
import { hashWords, hexToBytes, typedDataDigest } from './Bytes.ts'
import * as Domain from './Domain.ts'
import { InvalidFormatError } from './Errors.ts'

export type Action = 'state' | 'close'

export type Unsigned = {
  channelId: Hex
  action: Action
  /** Unix seconds; at most {@link maxAge} ahead. */
  deadline: bigint
}

export type ChannelRequest = Unsigned & { signature: Hex }

/** How far ahead a deadline may lie, in seconds. */
export const maxAge = 300n

export const types = {
  ChannelRequest: [
    { name: 'channelId', type: 'bytes32' },
    { name: 'action', type: 'string' },
    { name: 'deadline', type: 'uint256' },
  ],
} as const

const typeHash = keccak256(stringToHex('ChannelRequest(bytes32 channelId,string action,uint256 deadline)'))

/** EIP-712 typed data, as wallets sign it. */
export function typedData(request: Unsigned, deployment: Parameters<typeof Domain.from>[0]) {
  const { channelId, action, deadline } = request
  return {
    domain: Domain.from(deployment),
    types,
    primaryType: 'ChannelRequest' as const,
    message: { channelId, action, deadline },
  }
}

/** The EIP-712 digest. */
export function digest(request: Unsigned, domainSeparator: Hex | Uint8Array): Uint8Array {
  return typedDataDigest(
    typeof domainSeparator === 'string' ? hexToBytes(domainSeparator) : domainSeparator,
    hashWords(typeHash, request.channelId, keccak256(stringToHex(request.action)), request.deadline),
  )
}

/** The value of `X-DRAIN-Request`: the fields the address doesn't carry. */
export function toHeader(request: ChannelRequest): string {
  return JSON.stringify({ deadline: request.deadline.toString(), signature: request.signature })
}

/**
 * Deadline and signature from a header's or a body's fields, strictly. The signature has 65 bytes, or 193 when a session key
 * sends its proof along ({@link SessionKey.recover}).
 *
 * @throws {InvalidFormatError}
 */
export function fromJson(fields: unknown): { deadline: bigint; signature: Hex } {
  const { deadline, signature } = (typeof fields === 'object' && fields !== null ? fields : {}) as Record<
    string,
    unknown
  >
  if (typeof deadline !== 'string' || !/^[1-9][0-9]{0,18}$/.test(deadline)) {
    throw new InvalidFormatError('channel request', 'deadline is not a decimal string of Unix seconds')
  }
  if (typeof signature !== 'string' || !/^0x(?:[0-9a-fA-F]{130}|[0-9a-fA-F]{386})$/.test(signature)) {
    throw new InvalidFormatError('channel request', 'signature is not 65 (or 193) bytes of hex')
  }
  return { deadline: BigInt(deadline), signature: signature.toLowerCase() as Hex }
}

/** Whether a deadline is neither past nor too far ahead, by `now` in Unix seconds. */
export function isTimely(deadline: bigint, now: bigint): boolean {
  return deadline >= now && deadline <= now + maxAge
}
