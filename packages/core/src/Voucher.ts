/**
 * Vouchers: the consumer's signed promise of a **cumulative** amount on a channel. The provider claims the last one.
 */
import { type Hex, stringToHex, keccak256 as viemKeccak256 } from 'viem'
import { hexToBytes, keccak256, typedDataDigest, writeHex, writeUint256 } from './Bytes.ts'
import * as Domain from './Domain.ts'
import { InvalidFormatError } from './Errors.ts'

/** A promise before it is signed. */
export type Unsigned = {
  /** 32 bytes, lower case. */
  channelId: Hex
  /** Cumulative: the total authorized on the channel so far, in base units. Never an increment. */
  amount: bigint
  /** Never used twice on a channel. */
  nonce: bigint
}

/** A signed promise. */
export type Voucher = Unsigned & { signature: Hex }

/** Nonces are below this, so that every store can hold them. */
export const maxNonce = 2n ** 63n - 1n

/** The longest header value that is read, in characters. */
export const maxHeaderLength = 4_096

export const types = {
  Voucher: [
    { name: 'channelId', type: 'bytes32' },
    { name: 'amount', type: 'uint256' },
    { name: 'nonce', type: 'uint256' },
  ],
} as const

/** EIP-712 typed data, as wallets sign it (`walletClient.signTypedData`). */
export function typedData(voucher: Unsigned, deployment: Parameters<typeof Domain.from>[0]) {
  const { channelId, amount, nonce } = voucher
  return {
    domain: Domain.from(deployment),
    types,
    primaryType: 'Voucher' as const,
    message: { channelId, amount, nonce },
  }
}

/**
 * The EIP-712 digest, with the domain separator computed once ({@link Domain.separator}); as bytes it need not be read again
 * either.
 *
 * @throws {RangeError} When the id is not 32 bytes of hex, or a number doesn't fit in uint256.
 */
export function digest(voucher: Unsigned, domainSeparator: Hex | Uint8Array): Uint8Array {
  if (voucher.channelId.length !== 66) throw new RangeError('A channel id has 32 bytes.')
  writeHex(voucher.channelId, 2, layout, 32, 32)
  writeUint256(voucher.amount, layout, 64)
  writeUint256(voucher.nonce, layout, 96)
  const separator = typeof domainSeparator === 'string' ? hexToBytes(domainSeparator) : domainSeparator
  return typedDataDigest(separator, keccak256(layout))
}

/** Type hash, channel id, amount, nonce. Filled and hashed in one go each time, so one is enough. */
const layout = new Uint8Array(4 * 32)
layout.set(viemKeccak256(stringToHex('Voucher(bytes32 channelId,uint256 amount,uint256 nonce)'), 'bytes'))

/** The header form: one line of JSON, integers as decimal strings. */
export function toHeader(voucher: Voucher): string {
  return JSON.stringify({
    channelId: voucher.channelId,
    amount: voucher.amount.toString(),
    nonce: voucher.nonce.toString(),
    signature: voucher.signature,
  })
}

/**
 * A voucher from its header form, strictly: exactly the four keys, each once, strings without escapes; a 32-byte id;
 * decimals without sign, exponent or leading zero.
 *
 * @throws {InvalidFormatError}
 */
export function fromHeader(text: string): Voucher {
  if (text.length > maxHeaderLength) throw fail(`it is longer than ${maxHeaderLength} characters`)
  // What `toHeader` writes needs no JSON parser. Everything else is left to it, and to the checks behind it.
  const [, channelId, amount, nonce, signature] = written.exec(text) ?? []
  if (!channelId || !amount || !nonce || !signature) return parseJson(text)
  return {
    channelId: channelId.toLowerCase() as Hex,
    amount: atMost(maxAmount, amount, 'amount'),
    nonce: atMost(maxNonce, nonce, 'nonce'),
    signature: signature.toLowerCase() as Hex,
  }
}

const written =
  /^\{"channelId":"(0x[0-9a-fA-F]{64})","amount":"(0|[1-9][0-9]{0,77})","nonce":"(0|[1-9][0-9]{0,77})","signature":"(0x(?:[0-9a-fA-F]{2})+)"\}$/

/** The same for any layout: other orders of keys, white space. */
function parseJson(text: string): Voucher {
  // JSON.parse keeps the last of repeated keys in silence; without escapes, four pairs of strings have 16 quotes.
  if (text.includes('\\') || text.split('"').length !== 17) throw fail('it is not four plain string fields')
  let fields: Record<string, unknown>
  try {
    fields = JSON.parse(text)
  } catch {
    throw fail('it is not JSON')
  }
  if (
    typeof fields !== 'object' ||
    fields === null ||
    Array.isArray(fields) ||
    Object.keys(fields).length !== 4
  ) {
    throw fail('it must have exactly channelId, amount, nonce and signature')
  }
  const { channelId, amount, nonce, signature } = fields
  if (typeof channelId !== 'string' || !/^0x[0-9a-fA-F]{64}$/.test(channelId))
    throw fail('channelId is not 32 bytes')
  if (typeof signature !== 'string' || !/^0x(?:[0-9a-fA-F]{2})+$/.test(signature))
    throw fail('signature is not hex')
  return {
    channelId: channelId.toLowerCase() as Hex,
    amount: decimal(amount, 'amount', maxAmount),
    nonce: decimal(nonce, 'nonce', maxNonce),
    signature: signature.toLowerCase() as Hex,
  }
}

const maxAmount = 2n ** 256n - 1n

function decimal(value: unknown, name: string, max: bigint): bigint {
  if (typeof value !== 'string' || !/^(?:0|[1-9][0-9]{0,77})$/.test(value))
    throw fail(`${name} is not a decimal string`)
  return atMost(max, value, name)
}

function atMost(max: bigint, digits: string, name: string): bigint {
  const number = BigInt(digits)
  if (number > max) throw fail(`${name} is too large`)
  return number
}

function fail(problem: string): InvalidFormatError {
  return new InvalidFormatError(
    'voucher',
    problem,
    'Send {"channelId":"0x…","amount":"<cumulative base units>","nonce":"<new each time>","signature":"0x…"}.',
  )
}
