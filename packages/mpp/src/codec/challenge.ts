/**
 * Challenges of the `Payment` authentication scheme, as they stand in `WWW-Authenticate`
 * (https://paymentauth.org, draft-ietf-httpauth-payment). The bytes are those of mppx.
 */
import { WwwAuthenticate } from '@drain/core'
import { decodeText, encodeText } from './base64url.ts'
import { canonicalJson } from './canonicalJson.ts'

/** A challenge in its wire form: `request` and `opaque` are the base64url text that its id is made of. */
export type Challenge = {
  id: string
  realm: string
  method: string
  intent: string
  /** Base64url of canonical JSON. */
  request: string
  description?: string | undefined
  /** Of the request's body. */
  digest?: string | undefined
  /** RFC 3339. */
  expires?: string | undefined
  /** The header that takes the credential, where it isn't `Authorization`. */
  header?: string | undefined
  /** Base64url; goes back as it came. */
  opaque?: string | undefined
}

/** The headers that credentials come in. */
export const credentialHeaders = ['Authorization', 'Payment-Authorization'] as const

/** The longest `request` that is read, in characters. */
export const maxRequestLength = 16 * 1_024

/** The wire form of a request. */
export function encodeRequest(request: Readonly<Record<string, unknown>>): string {
  return encodeText(canonicalJson(request))
}

/** A request from its wire form, or `undefined` when it is no JSON object. */
export function decodeRequest(encoded: string): Record<string, unknown> | undefined {
  const text = decodeText(encoded)
  if (text === undefined) return undefined
  try {
    const request = JSON.parse(text)
    return typeof request === 'object' && request !== null && !Array.isArray(request) ? request : undefined
  } catch {
    return undefined
  }
}

/** What `id` is the HMAC of: everything but the description. */
export function boundText(challenge: Omit<Challenge, 'id'>): string {
  const { realm, method, intent, request, expires = '', digest = '', header, opaque = '' } = challenge
  const named = header === undefined || isDefault(header) ? '' : `${header}|`
  return `${realm}|${method}|${intent}|${request}|${expires}|${digest}|${named}${opaque}`
}

/**
 * A challenge as it stands in the header: `Payment id="…", …`.
 * @throws {TypeError} When a value has a line break.
 */
export function serializeChallenge(challenge: Challenge): string {
  const { id, realm, method, intent, request, description, digest, expires, header, opaque } = challenge
  const shown = header !== undefined && isDefault(header) ? undefined : header
  return `Payment id="${quotable(id)}"${param('realm', realm)}${param('method', method)}${param('intent', intent)}${param('request', request)}${param('description', description)}${param('digest', digest)}${param('expires', expires)}${param('header', shown)}${param('opaque', opaque)}`
}

/** Stands in for what is put in later; nothing that is bound or shown has it. */
const gap = '\0'

/**
 * A maker of challenges that differ in their end and in `opaque` alone, as they stand in the header: all else is put together
 * once. Gives what {@link serializeChallenge} does.
 *
 * @param sign Makes the id of a {@link boundText}.
 */
export function challengeSeries(
  fields: Omit<Challenge, 'id' | 'expires' | 'opaque'>,
  sign: (text: string) => string,
): (expires: string, opaque: string) => string {
  const [start, between] = boundText({ ...fields, expires: gap, opaque: gap }).split(gap)
  const whole = serializeChallenge({ ...fields, id: gap, expires: gap, opaque: gap })
  const [first, second, third, last] = whole.split(gap)
  return (expires, opaque) => {
    const id = sign(`${start}${expires}${between}${opaque}`)
    return `${first}${id}${second}${expires}${third}${opaque}${last}`
  }
}

function param(name: string, value: string | undefined): string {
  return value === undefined ? '' : `, ${name}="${quotable(value)}"`
}

/**
 * The challenges in the value of `WWW-Authenticate`, joined or not, other schemes among them or not. What can't be read is left
 * out: one bad offer is no reason not to take another.
 */
export function parseChallenges(value: string | null): Challenge[] {
  return WwwAuthenticate.parse(value).flatMap(({ scheme, params }) => {
    const challenge = scheme.toLowerCase() === 'payment' && params ? fromParams(params) : undefined
    return challenge ? [challenge] : []
  })
}

function fromParams(params: ReadonlyMap<string, string>): Challenge | undefined {
  const text = (name: string) => params.get(name)
  const [id, realm, method, intent, request] = ['id', 'realm', 'method', 'intent', 'request'].map(text)
  if (!id || realm === undefined || intent === undefined || !method || !/^[a-z][a-z0-9:_-]*$/.test(method)) {
    return undefined
  }
  if (!request || request.length > maxRequestLength) return undefined
  const challenge: Challenge = { id, realm, method, intent, request }
  for (const name of ['description', 'digest', 'expires', 'header', 'opaque'] as const) {
    const given = text(name)
    if (given) challenge[name] = given
  }
  if (challenge.expires !== undefined && !dateTime.test(challenge.expires)) return undefined
  if (challenge.header !== undefined && !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(challenge.header))
    return undefined
  return challenge
}

const dateTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})$/

function quotable(value: string): string {
  if (!/[\r\n\\"\u0100-\uffff]/.test(value)) return value
  if (/[\r\n]/.test(value)) throw new TypeError('A challenge has no line breaks.')
  return value
    .replace(/[\\"]/g, '\\$&')
    .replace(/[\u0100-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function isDefault(header: string): boolean {
  return header.toLowerCase() === 'authorization'
}
