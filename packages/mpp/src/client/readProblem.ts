import type { Rejection } from '@drain/core'

/** More than any problem needs, in bytes. */
const longest = 16 * 1_024

/** How long a body is waited for, in milliseconds. */
const patience = 5_000

/** What a refusal's problem details say (RFC 9457): our own code where it has one, else what its type comes to. */
export async function readProblem(response: Response): Promise<{ code?: unknown; isStale?: boolean }> {
  const problem = await readObject(response)
  const { type, error, details } = problem
  const name = typeof type === 'string' && type.startsWith(base) ? type.slice(base.length) : ''
  const own = codeIn(error) ?? codeIn(details)
  return { code: own ?? (Object.hasOwn(codes, name) ? codes[name] : undefined), isStale: stale.has(name) }
}

function codeIn(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? (value as { code?: unknown }).code : undefined
}

const base = 'https://paymentauth.org/problems/'

/** The challenge was refused, not what pays. */
const stale = new Set(['invalid-challenge', 'payment-expired', 'session/challenge-not-found'])

const codes: Readonly<Record<string, Rejection.Code>> = {
  'payment-required': 'voucher_required',
  'payment-insufficient': 'insufficient_funds',
  'session/insufficient-balance': 'insufficient_funds',
  'session/amount-exceeds-deposit': 'exceeds_deposit',
  'session/invalid-signature': 'invalid_signature',
  'session/signer-mismatch': 'invalid_signature',
  'session/channel-not-found': 'channel_not_found',
  'session/channel-finalized': 'channel_closing',
  // Of what it may stand for, only a nonce is worth another try.
  'verification-failed': 'invalid_nonce',
  'invalid-payload': 'invalid_voucher_format',
  'malformed-credential': 'invalid_voucher_format',
}

/** The body as a JSON object, of bounded size and in bounded time; an empty one where it is none. */
async function readObject(response: Response): Promise<Record<string, unknown>> {
  const reader = response.body?.getReader()
  // What is being read ends by that.
  const timer = setTimeout(() => reader?.cancel().catch(() => {}), patience)
  const decoder = new TextDecoder()
  let text = ''
  try {
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
      text += decoder.decode(part.value, { stream: true })
      if (text.length > longest) return {}
    }
    const json: unknown = JSON.parse(text)
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : {}
  } catch {
    return {}
  } finally {
    clearTimeout(timer)
    await reader?.cancel().catch(() => {})
    reader?.releaseLock()
  }
}
