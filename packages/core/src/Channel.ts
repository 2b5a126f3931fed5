/** Channels: prepaid balances from one consumer to one provider, and how their ids come about. */
import { type Address, encodePacked, type Hex, keccak256, stringToHex, zeroAddress, zeroHash } from 'viem'
import { bytesToHex, hashWords } from './Bytes.ts'
import type { Deployment } from './Deployment.ts'
import { FeatureUnavailableError, InvalidFormatError } from './Errors.ts'

/** A channel as the contract holds it. */
export type Channel = {
  /** 32 bytes, lower case. */
  id: Hex
  consumer: Address
  provider: Address
  /** Locked at the open, in base units. */
  deposit: bigint
  /** Cumulative amount paid out to the provider, in base units. */
  claimed: bigint
  /** Unix seconds from which the consumer may close alone. */
  expiry: bigint
}

/** Everything an id binds; `salt` is the consumer's open counter for direct opens. */
export type Opening = {
  consumer: Address
  provider: Address
  amount: bigint
  duration: bigint
  /** Session key that may sign vouchers too; the zero address for none. */
  signer: Address
  salt: Hex
}

/** How a channel was opened: by its consumer (0) or relayed (1). */
export type Kind = 'direct' | 'relayed'

const openingTypeHash = keccak256(
  stringToHex(
    'Opening(address consumer,address provider,uint256 amount,uint256 duration,address signer,bytes32 salt)',
  ),
)

/** Hash of the opening's terms; for relayed opens also the EIP-3009 nonce. */
export function hashOpening(opening: Opening): Hex {
  const { consumer, provider, amount, duration, signer, salt } = opening
  return bytesToHex(hashWords(openingTypeHash, consumer, provider, amount, duration, signer, salt))
}

/**
 * The id that an opening will get, before it is mined.
 *
 * Source: `computeChannelId` of the contract.
 */
export function computeId(
  deployment: Pick<Deployment, 'contract' | 'channelIds'> & { chainId: number | bigint },
  opening: Opening,
  kind: Kind = 'direct',
): Hex {
  if (deployment.channelIds !== 'opening') {
    throw new FeatureUnavailableError(
      'channel id known before it is mined',
      deployment.contract,
      'Read the id from the ChannelOpened event.',
    )
  }
  return bytesToHex(
    hashWords(
      kind === 'direct' ? 0n : 1n,
      BigInt(deployment.chainId),
      deployment.contract,
      hashOpening(opening),
    ),
  )
}

/** The opening of a plain `open` by a consumer whose open counter (`nonces(consumer)`) stands at `nonce`. */
export function directOpening(terms: {
  consumer: Address
  provider: Address
  amount: bigint
  duration: bigint
  nonce: bigint
}): Opening {
  const { nonce, ...rest } = terms
  return { ...rest, signer: zeroAddress, salt: `0x${nonce.toString(16).padStart(64, '0')}` }
}

/**
 * The id rule of the older contracts: consumer, provider, the open's block time and the consumer's open counter.
 *
 * Trap: a reorg can change what is behind such an id.
 */
export function computeTimestampId(terms: {
  consumer: Address
  provider: Address
  timestamp: bigint
  nonce: bigint
}): Hex {
  const { consumer, provider, timestamp, nonce } = terms
  return keccak256(
    encodePacked(['address', 'address', 'uint256', 'uint256'], [consumer, provider, timestamp, nonce]),
  )
}

/**
 * A channel id in its one form, lower case.
 *
 * @throws {InvalidFormatError}
 */
export function parseId(value: unknown): Hex {
  if (typeof value !== 'string' || !/^0x[0-9a-fA-F]{64}$/.test(value)) {
    throw new InvalidFormatError(
      'channel id',
      'it is not 32 bytes of hex',
      'Use the id from the ChannelOpened event.',
    )
  }
  return value.toLowerCase() as Hex
}

/** Whether the contract knows the channel: it answers zeros for ids never opened and for closed ones. */
export function exists(channel: Channel): boolean {
  return channel.consumer !== zeroAddress
}

/** Whether the consumer may close alone at `now` (Unix seconds). */
export function isExpired(channel: Channel, now: bigint): boolean {
  return now >= channel.expiry
}

/** The id that no channel has. */
export const zeroId: Hex = zeroHash
