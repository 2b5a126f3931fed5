/**
 * Challenges of the `Payment` authentication scheme in `WWW-Authenticate` (https://paymentauth.org, draft-ietf-httpauth-payment):
 * `Payment id="…", realm="…", method="…", intent="…", request="<base64url of JSON>"`.
 */
import { WwwAuthenticate } from '@drain/core'

export type PaymentChallenge = {
  id: string
  realm: string
  /** The way to pay, such as `evm`, and what for, such as `charge`. */
  method: string
  intent: string
  request: Readonly<Record<string, unknown>>
  /** RFC 3339. */
  expires?: string | undefined
}

/** The longest `request` that is read, in characters. */
const longestRequest = 16_384

/**
 * The `Payment` challenges of a header, joined or not, other schemes among them or not. What can't be read is left out: one bad
 * offer is no reason not to take another.
 */
export function readChallenges(value: string | null): PaymentChallenge[] {
  return WwwAuthenticate.parse(value).flatMap(({ scheme, params }) => {
    const challenge = scheme.toLowerCase() === 'payment' && params ? fromParams(params) : undefined
    return challenge ? [challenge] : []
  })
}

function fromParams(params: ReadonlyMap<string, string>): PaymentChallenge | undefined {
  const [id, realm, method, intent, encoded] = ['id', 'realm', 'method', 'intent', 'request'].map((name) =>
    params.get(name),
  )
  if (!id || !realm || !intent || !method || !/^[a-z][a-z0-9:_-]{0,63}$/.test(method)) return undefined
  if (!/^[A-Za-z0-9:_-]{1,64}$/.test(intent)) return undefined
  const request = encoded && encoded.length <= longestRequest ? decode(encoded) : undefined
  const expires = params.get('expires')
  if (!request || (expires !== undefined && !dateTime.test(expires))) return undefined
  return { id, realm, method, intent, request, expires }
}

const dateTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})$/

function decode(encoded: string): Record<string, unknown> | undefined {
  const bytes = Buffer.from(encoded, 'base64url')
  // Node skips what it can't read.
  if (bytes.toString('base64url') !== encoded) return undefined
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
