/** What a wallet signs to change something in a directory: a listing, a skill, a decision, a report. Off chain only. */
import { type Hex, keccak256, stringToHex } from 'viem'
import { InvalidFormatError } from './Errors.ts'

export type DirectoryAction = {
  /** The directory's origin, so that no other can use the signature: `https://market.example`. */
  directory: string
  /** Such as `provider.register`. */
  action: string
  /** What it is about: a listing's URL or id, a skill's id. */
  subject: string
  /** What is sent with it: JSON, without the signature's own fields. */
  body: unknown
  /** Unix milliseconds. Each signature of one signer for one subject must be later than the one before. */
  issuedAt: bigint
}

export const types = {
  DirectoryAction: [
    { name: 'directory', type: 'string' },
    { name: 'action', type: 'string' },
    { name: 'subject', type: 'string' },
    { name: 'body', type: 'bytes32' },
    { name: 'issuedAt', type: 'uint256' },
  ],
} as const

/**
 * EIP-712 typed data, as wallets sign it. The domain has no contract, so that no signature for one can be mistaken for it.
 *
 * @throws {InvalidFormatError} A body that JSON can't express.
 */
export function typedData(
  { directory, action, subject, body, issuedAt }: DirectoryAction,
  { chainId }: { chainId: number },
) {
  return {
    domain: { name: 'DRAIN Directory', version: '1', chainId },
    types,
    primaryType: 'DirectoryAction' as const,
    message: { directory, action, subject, body: hashBody(body), issuedAt },
  }
}

/** The keccak-256 of {@link canonicalJson}, UTF-8. @throws {InvalidFormatError} */
export function hashBody(body: unknown): Hex {
  return keccak256(stringToHex(canonicalJson(body)))
}

/**
 * JSON that is the same for everybody: no spaces, names of an object in order of their UTF-16 code units, `undefined` left out (RFC 8785 for what
 * is in a body: strings, integers, booleans, `null`, arrays, objects).
 *
 * @throws {InvalidFormatError}
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${Array.from(value, (item) => canonicalJson(item)).join(',')}]`
  if (typeof value === 'object' && isPlain(value)) {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`)
    return `{${members.join(',')}}`
  }
  throw new InvalidFormatError('directory action', `${typeof value} can't be written as JSON`)
}

/** Dates, maps and the like would all be `{}`: one signature for any of them. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
