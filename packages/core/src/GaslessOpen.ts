/**
 * Gasless opens: the consumer signs the token's EIP-3009 authorization, and anyone sends the transaction that opens the
 * channel with it. The authorization's nonce is the hash of the opening, so a sender can change nothing.
 */
import { type Address, type Hex, isAddress, keccak256, stringToHex } from 'viem'
import { hashWords, hexToBytes, typedDataDigest } from './Bytes.ts'
import * as Channel from './Channel.ts'
import { InvalidFormatError } from './Errors.ts'

export type Unsigned = Channel.Opening & {
  /** Unix seconds; valid after, not at it. */
  validAfter: bigint
  /** Unix seconds; valid before, not at it. At most {@link maxAge} ahead. */
  validBefore: bigint
}

/** `signature`: what the token asks of the consumer, for plain accounts 65 bytes. */
export type GaslessOpen = Unsigned & { signature: Hex }

/** How far ahead `validBefore` may lie, in seconds: until then a second signature may lock a second deposit. */
export const maxAge = 600n

/** The longest signature that is read, in bytes: wallets that are contracts have long ones. */
export const maxSignatureBytes = 2_048

export const types = {
  ReceiveWithAuthorization: [
    { name: 'from', type: 'address' },
    { name: 'to', type: 'address' },
    { name: 'value', type: 'uint256' },
    { name: 'validAfter', type: 'uint256' },
    { name: 'validBefore', type: 'uint256' },
    { name: 'nonce', type: 'bytes32' },
  ],
} as const

export const cancelTypes = {
  CancelAuthorization: [
    { name: 'authorizer', type: 'address' },
    { name: 'nonce', type: 'bytes32' },
  ],
} as const

const typeHash = keccak256(
  stringToHex(
    'ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)',
  ),
)

/** Name and version in the token's own EIP-712 domain. USDC's on most chains. */
export const usdcDomain = { name: 'USD Coin', version: '2' } as const

/**
 * EIP-712 typed data in the domain of the **token**, as wallets sign it.
 *
 * @param tokenDomain Of tokens that are called otherwise on their chain.
 */
export function typedData(
  open: Unsigned,
  deployment: { chainId: number; contract: Address; token: Address },
  tokenDomain: { name: string; version: string } = usdcDomain,
) {
  const { chainId, contract, token } = deployment
  return {
    domain: { ...tokenDomain, chainId, verifyingContract: token },
    types,
    primaryType: 'ReceiveWithAuthorization' as const,
    message: {
      from: open.consumer,
      to: contract,
      value: open.amount,
      validAfter: open.validAfter,
      validBefore: open.validBefore,
      nonce: Channel.hashOpening(open),
    },
  }
}

/** EIP-712 typed data that makes the token refuse an authorization for good (`cancelAuthorization` of EIP-3009). */
export function cancelTypedData(
  open: Channel.Opening,
  deployment: { chainId: number; token: Address },
  tokenDomain: { name: string; version: string } = usdcDomain,
) {
  return {
    domain: { ...tokenDomain, chainId: deployment.chainId, verifyingContract: deployment.token },
    types: cancelTypes,
    primaryType: 'CancelAuthorization' as const,
    message: { authorizer: open.consumer, nonce: Channel.hashOpening(open) },
  }
}

/** The EIP-712 digest that the token checks. `tokenDomainSeparator` is the token's `DOMAIN_SEPARATOR()`. */
export function digest(open: Unsigned, contract: Address, tokenDomainSeparator: Hex): Uint8Array {
  const { consumer, amount, validAfter, validBefore } = open
  return typedDataDigest(
    hexToBytes(tokenDomainSeparator),
    hashWords(typeHash, consumer, contract, amount, validAfter, validBefore, Channel.hashOpening(open)),
  )
}

/** The body of `POST /v1/open`: every field a string. */
export function toJson(open: GaslessOpen): Record<keyof GaslessOpen, string> {
  const { consumer, provider, amount, duration, signer, salt, validAfter, validBefore, signature } = open
  const integers = { amount, duration, validAfter, validBefore }
  const decimals = Object.fromEntries(Object.entries(integers).map(([name, value]) => [name, String(value)]))
  return {
    ...(decimals as Record<keyof typeof integers, string>),
    consumer,
    provider,
    signer,
    salt,
    signature,
  }
}

/**
 * A gasless open from the body of a request, strictly: exactly the fields of {@link toJson}, all of them strings.
 *
 * @throws {InvalidFormatError}
 */
export function fromJson(value: unknown): GaslessOpen {
  const fields = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>
  const names = Object.keys(fields)
  const unknown = names.find((name) => !expected.includes(name))
  if (unknown !== undefined || names.length !== expected.length) {
    throw fail(`it must have exactly ${expected.join(', ')}`)
  }
  return {
    consumer: address(fields, 'consumer'),
    provider: address(fields, 'provider'),
    amount: decimal(fields, 'amount', 2n ** 64n - 1n),
    duration: decimal(fields, 'duration', 2n ** 63n - 1n),
    signer: address(fields, 'signer'),
    salt: hex(fields, 'salt', 32, 32),
    validAfter: decimal(fields, 'validAfter', 2n ** 256n - 1n),
    validBefore: decimal(fields, 'validBefore', 2n ** 256n - 1n),
    signature: hex(fields, 'signature', 1, maxSignatureBytes),
  }
}

const expected = [
  'consumer',
  'provider',
  'amount',
  'duration',
  'signer',
  'salt',
  'validAfter',
  'validBefore',
  'signature',
]

function address(fields: Record<string, unknown>, name: string): Address {
  const value = fields[name]
  if (typeof value !== 'string' || !isAddress(value, { strict: false })) {
    throw fail(`${name} is not an address`)
  }
  return value.toLowerCase() as Address
}

function decimal(fields: Record<string, unknown>, name: string, max: bigint): bigint {
  const value = fields[name]
  if (typeof value !== 'string' || !/^(?:0|[1-9][0-9]{0,77})$/.test(value) || BigInt(value) > max) {
    throw fail(`${name} is not a decimal string up to ${max}`)
  }
  return BigInt(value)
}

function hex(fields: Record<string, unknown>, name: string, minBytes: number, maxBytes: number): Hex {
  const value = fields[name]
  const isHex = typeof value === 'string' && /^0x(?:[0-9a-fA-F]{2})*$/.test(value)
  if (!isHex || value.length < 2 + 2 * minBytes || value.length > 2 + 2 * maxBytes) {
    throw fail(
      `${name} is not ${minBytes === maxBytes ? minBytes : `${minBytes} to ${maxBytes}`} bytes of hex`,
    )
  }
  return value.toLowerCase() as Hex
}

function fail(problem: string): InvalidFormatError {
  return new InvalidFormatError(
    'gasless open',
    problem,
    'Send the fields of Opening, validAfter, validBefore and signature as strings: addresses and bytes as hex, numbers in decimal.',
  )
}
