/**
 * What pays an `evm`/`charge` challenge: an EIP-3009 authorization whose nonce is the hash of the challenge, so that it pays for
 * that one and nothing else.
 */
import { InvalidFormatError } from '@drain/core'
import type { Authorization } from '@drain/provider'
import { type Address, type Hex, hashTypedData, isAddress, keccak256, stringToBytes } from 'viem'

export type { Authorization }

export type SignedAuthorization = Authorization & { signature: Hex }

/** The token's own EIP-712 domain. */
export type TokenDomain = { name: string; version: string; chainId: number; verifyingContract: Address }

export const authorizationTypes = {
  TransferWithAuthorization: [
    { name: 'from', type: 'address' },
    { name: 'to', type: 'address' },
    { name: 'value', type: 'uint256' },
    { name: 'validAfter', type: 'uint256' },
    { name: 'validBefore', type: 'uint256' },
    { name: 'nonce', type: 'bytes32' },
  ],
} as const

/** EIP-712 typed data of the token, as wallets sign it. */
export function authorizationTypedData({ from, to, value, ...rest }: Authorization, domain: TokenDomain) {
  const { validAfter, validBefore, nonce } = rest
  return {
    domain,
    types: authorizationTypes,
    primaryType: 'TransferWithAuthorization' as const,
    message: { from, to, value, validAfter, validBefore, nonce },
  }
}

/** What the token checks the signature against. */
export function authorizationDigest(authorization: Authorization, domain: TokenDomain): Hex {
  return hashTypedData(authorizationTypedData(authorization, domain))
}

/** The nonce of the authorization that pays a challenge (draft-evm-charge, challenge hash). */
export function challengeNonce({ id, realm }: { id: string; realm: string }): Hex {
  return keccak256(stringToBytes(`${id}${realm}`))
}

/** The payload of a credential: every field a string. */
export function toPayload({ signature, ...authorization }: SignedAuthorization) {
  const { from, to, value, validAfter, validBefore, nonce } = authorization
  return {
    type: 'authorization' as const,
    ...{ from, to, nonce, signature },
    value: String(value),
    validAfter: String(validAfter),
    validBefore: String(validBefore),
  }
}

/** The longest signature that is read, in bytes: wallets that are contracts have long ones. */
const maxSignatureBytes = 2_048

/**
 * An authorization from a credential's payload, strictly: exactly the fields of {@link toPayload}. Addresses and bytes come out in
 * lower case.
 *
 * @throws {InvalidFormatError}
 */
export function fromPayload(payload: unknown): SignedAuthorization {
  const fields = (typeof payload === 'object' && payload !== null ? payload : {}) as Record<string, unknown>
  const names = Object.keys(fields)
  if (names.length !== expected.length || !names.every((name) => expected.includes(name)))
    throw malformed(`it must have exactly ${expected.join(', ')}`)
  if (fields.type !== 'authorization') throw malformed('type is not authorization')
  return {
    from: address(fields, 'from'),
    to: address(fields, 'to'),
    value: decimal(fields, 'value'),
    validAfter: decimal(fields, 'validAfter'),
    validBefore: decimal(fields, 'validBefore'),
    nonce: hex(fields, 'nonce', 32, 32),
    signature: hex(fields, 'signature', 1, maxSignatureBytes),
  }
}

const expected = ['type', 'from', 'to', 'value', 'validAfter', 'validBefore', 'nonce', 'signature']

function address(fields: Record<string, unknown>, name: string): Address {
  const value = fields[name]
  if (typeof value !== 'string' || !isAddress(value, { strict: false }))
    throw malformed(`${name} is not an address`)
  return value.toLowerCase() as Address
}

function decimal(fields: Record<string, unknown>, name: string): bigint {
  const value = fields[name]
  if (typeof value !== 'string' || !/^(?:0|[1-9][0-9]{0,77})$/.test(value) || BigInt(value) >= 2n ** 256n)
    throw malformed(`${name} is not a decimal string below 2^256`)
  return BigInt(value)
}

function hex(fields: Record<string, unknown>, name: string, minBytes: number, maxBytes: number): Hex {
  const value = fields[name]
  const isHex = typeof value === 'string' && /^0x(?:[0-9a-fA-F]{2})*$/.test(value)
  if (!isHex || value.length < 2 + 2 * minBytes || value.length > 2 + 2 * maxBytes)
    throw malformed(`${name} is no hex of the right length`)
  return value.toLowerCase() as Hex
}

function malformed(problem: string): InvalidFormatError {
  const advice = 'Send an EIP-3009 authorization as the draft evm/charge has it, every field a string.'
  return new InvalidFormatError('charge payload', problem, advice)
}
