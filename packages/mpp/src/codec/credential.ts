/** Credentials of the `Payment` scheme: what pays, with the challenge that it answers. */
import { decodeText, encodeText } from './base64url.ts'
import { type Challenge, credentialHeaders } from './challenge.ts'

export type Credential = {
  challenge: Challenge
  /** As the method has it. */
  payload: Record<string, unknown>
  /** Who pays, as a DID. */
  source?: string | undefined
}

/** What a request carries. `multiple`: more than one credential, or one beside another instrument. */
export type CredentialRead =
  | { ok: true; credential: Credential }
  | { ok: false; problem: 'malformed' | 'multiple'; message: string }

/** The longest credential that is read, in characters. */
export const maxCredentialLength = 8 * 1_024

/** A header's value: `Payment …`. */
export function serializeCredential({ challenge, payload, source }: Credential): string {
  const { request, opaque, ...rest } = challenge
  const echoed = { ...rest, ...(opaque !== undefined && { opaque }), request }
  return `Payment ${encodeText(JSON.stringify({ challenge: echoed, payload, ...(source && { source }) }))}`
}

type Head = { readonly headers: Pick<Headers, 'get'> }

/**
 * The one credential of a request, from `Authorization` or `Payment-Authorization`; `undefined` when there is none. Several
 * schemes may ask about the same request: it is read once.
 */
export function readCredential(request: Head): CredentialRead | undefined {
  const { headers } = request
  const [plain, named] = [headers.get(credentialHeaders[0]), headers.get(credentialHeaders[1])]
  if (plain === null && named === null) return undefined
  const known = reads.get(request)
  if (known) return known
  const values = [...paymentsIn(plain), ...paymentsIn(named)]
  const [value] = values
  if (value === undefined) return undefined
  const read =
    values.length > 1
      ? ({ ok: false, problem: 'multiple', message: 'Send exactly one payment with a request.' } as const)
      : parseCredential(value)
  reads.set(request, read)
  return read
}

const reads = new WeakMap<Head, CredentialRead>()

/** What follows `Payment` in a header: repeated headers arrive as one value with commas, other schemes may stand beside. */
function paymentsIn(value: string | null): string[] {
  if (value === null) return []
  if (value.startsWith('Payment ') && !value.includes(',')) return [value.slice(8).trim()]
  return value.split(',').flatMap((part) => {
    const [, text] = /^\s*payment(?:\s+(.*))?$/is.exec(part) ?? []
    return /^\s*payment(?:\s|$)/i.test(part) ? [(text ?? '').trim()] : []
  })
}

/** A credential without its scheme's name, strictly: known members only, each once. */
export function parseCredential(encoded: string): Exclude<CredentialRead, { problem: 'multiple' }> {
  if (encoded.length > maxCredentialLength) {
    return malformed(`it is longer than ${maxCredentialLength} characters`)
  }
  const text = decodeText(encoded)
  if (text === undefined) return malformed('it is not base64url of UTF-8 without padding')
  const known = knownChallenge(text)
  if (!known) return parseWhole(text)
  const rest = parseJson(`{${text.slice(known.end)}`)
  if (rest === undefined) return malformed('it is not JSON')
  return check(rest, `{${text.slice(known.end)}`, known.challenge)
}

/**
 * The same challenge is answered again and again: where a credential begins with one that was read before, that part of it need
 * not be read again. `end`: where the member that follows it begins.
 */
function knownChallenge(text: string): { challenge: Challenge; end: number } | undefined {
  const end = text.indexOf(afterChallenge)
  const challenge = end < 0 ? undefined : challenges.get(text.slice(0, end + 1))
  return challenge && { challenge, end: end + 2 }
}

const afterChallenge = '},"payload":'
const challenges = new Map<string, Challenge>()
/** The most that are remembered: whoever sends credentials names them. */
const remembered = 256

function parseWhole(text: string): ReturnType<typeof parseCredential> {
  const value = parseJson(text)
  if (value === undefined) return malformed('it is not JSON')
  if (!isObject(value)) return malformed('it is not an object')
  const { challenge, ...rest } = value
  if (!isChallenge(challenge)) return malformed('challenge is not echoed as it was given')
  const read = check(rest, text, challenge, value)
  const written = `{"challenge":${JSON.stringify(challenge)}`
  if (read.ok && text.startsWith(`${written},"payload":`)) {
    if (challenges.size >= remembered) challenges.clear()
    challenges.set(written, challenge)
  }
  return read
}

/** Checks what stands beside the challenge. `text` is what was parsed, to `whole`. */
function check(
  rest: unknown,
  text: string,
  challenge: Challenge,
  whole: unknown = rest,
): ReturnType<typeof parseCredential> {
  if (!isObject(rest)) return malformed('it is not an object')
  if (hasDoubles(text, whole)) return malformed('a member is repeated')
  if (!hasOnly(rest, restNames)) return malformed('it has unknown members')
  const { payload, source } = rest
  if (!isObject(payload)) return malformed('payload is not an object')
  if (source !== undefined && typeof source !== 'string') return malformed('source is not a string')
  return { ok: true, credential: { challenge, payload, ...(source !== undefined && { source }) } }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const restNames = new Set(['payload', 'source'])
const requiredNames = ['id', 'realm', 'method', 'intent', 'request'] as const
const challengeNames = new Set<string>([
  ...requiredNames,
  ...(['description', 'digest', 'expires', 'header', 'opaque'] as const),
])

function isChallenge(value: unknown): value is Challenge {
  if (!isObject(value) || !hasOnly(value, challengeNames)) return false
  for (const name of requiredNames) if (typeof value[name] !== 'string') return false
  for (const name in value) if (typeof value[name] !== 'string') return false
  return true
}

function hasOnly(value: Record<string, unknown>, names: ReadonlySet<string>): boolean {
  for (const name of Object.keys(value)) if (!names.has(name)) return false
  return true
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether a text has members that JSON.parse has dropped, which keeps the last of several in silence. */
function hasDoubles(text: string, value: unknown): boolean {
  // As most clients write it.
  if (JSON.stringify(value) === text) return false
  let names = 0
  for (const [, isName] of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g)) if (isName) names += 1
  return names !== membersIn(value)
}

function membersIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const members = Object.values(value)
  return members.reduce(
    (sum: number, member) => sum + membersIn(member),
    Array.isArray(value) ? 0 : members.length,
  )
}

function malformed(problem: string) {
  return { ok: false, problem: 'malformed', message: `The credential can’t be read: ${problem}.` } as const
}
