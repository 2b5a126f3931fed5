import { PaymentUnknownError, Headers as Wire } from '@drain/core'
import { delay } from './delay.ts'
import type { ReplayableRequest } from './ReplayableRequest.ts'
import { discard } from './readJson.ts'

/** How often a payment is sent whose connection is lost, or that comes to a server which is out of order. */
const mostLost = 3
/** How often, and for how many milliseconds, an answer is asked for that is still to come. */
const [mostPending, patience] = [60, 60_000]
/** The shortest and the longest wait in between, in milliseconds. */
const [shortest, longest] = [1_000, 10_000]

export type Sender = {
  /** Sends the request with its payment, under its key and never past a redirect. */
  send: typeof globalThis.fetch
  /** The `Idempotency-Key`: the caller's own, where it gave one. */
  readonly key: string
  readonly isSent: boolean
  /** Whether an answer was lost, or withheld: what was sent may have been taken. */
  readonly isInDoubt: boolean
}

/**
 * Sends one payment, and the very same again, byte for byte, while its answer was lost or is still to come: it can be taken once
 * only, and a server that knows the key gives the answer which was paid. Another payment is never made for it.
 *
 * @param expires Unix milliseconds: until when the payment can be taken.
 */
export function createSender(
  { fetch, now }: { fetch: typeof globalThis.fetch; now: () => number },
  request: ReplayableRequest,
  expires = Number.POSITIVE_INFINITY,
): Sender {
  const { signal, url } = request
  const key = request.headers.get(keyName) ?? crypto.randomUUID()
  let isSent = false
  let isInDoubt = false

  /** Waits for the next try, unless that would be too late. */
  async function mayWait(milliseconds: number, end: number): Promise<boolean> {
    if (now() + milliseconds >= end) return false
    await delay(milliseconds, signal)
    return true
  }

  async function send(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    const headers = new Headers(init?.headers ?? (input instanceof Request ? input.headers : undefined))
    if (!headers.has(keyName)) headers.set(keyName, key)
    const end = Math.min(expires, now() + patience)
    let lost = 0
    let hasAnswer = true
    for (let tries = 1; ; tries++) {
      let response: Response
      isSent = true
      try {
        // It would carry the payment along.
        response = await fetch(copyOf(input), { ...init, headers, redirect: 'manual' })
      } catch (error) {
        isInDoubt = true
        hasAnswer = false
        if (signal?.aborted) throw error
        lost += 1
        // At once for the first time: connections that were kept end without a word.
        if (lost < mostLost && (await mayWait(lost > 1 ? shortest : 0, end))) continue
        throw new PaymentUnknownError(url.origin, key, error)
      }
      const standing = standingOf(response, isInDoubt)
      if (standing === 'answered') return response
      if (standing === 'failed') lost += 1
      const isLast = standing === 'failed' ? lost >= mostLost : tries >= mostPending
      if (isLast || !(await mayWait(waitOf(response), end))) {
        // A gateway that has given up waiting doesn't know what came of it.
        const isAnswer = standing === 'failed' && response.status === 503
        if (standing === 'busy' || (isAnswer && hasAnswer)) return response
        await discard(response)
        throw new PaymentUnknownError(url.origin, key, new Error(`the answer is HTTP ${response.status}`))
      }
      if (standing !== 'busy') {
        isInDoubt = true
        hasAnswer &&= standing === 'failed'
      }
      await discard(response)
    }
  }

  return {
    send,
    key,
    get isSent() {
      return isSent
    },
    get isInDoubt() {
      return isInDoubt
    },
  }
}

const keyName = 'Idempotency-Key'

/**
 * `pending`: the request is at work, or its transfer is; `failed`: the server, or one before it, is out of order, and whether the
 * payment was taken is not said; `busy`: it was not, for the moment.
 */
function standingOf(
  { status, headers }: Response,
  isInDoubt: boolean,
): 'answered' | 'pending' | 'failed' | 'busy' {
  const { code } = Wire.parseRejection(headers)
  if (status === 409 && code === 'idempotency_in_flight') return 'pending'
  // With a receipt it is what was paid for.
  if (headers.has('Payment-Receipt')) return 'answered'
  if (status === 409 && isInDoubt) return 'failed'
  if (
    status === 429 &&
    code === 'rate_limited' &&
    Number(headers.get('Retry-After') ?? 60) <= longest / 1_000
  )
    return 'busy'
  if (![502, 503, 504].includes(status)) return 'answered'
  return code === undefined ? 'failed' : 'pending'
}

function waitOf({ headers }: Response): number {
  const seconds = Number(headers.get('Retry-After') ?? 0)
  return Math.min(Math.max(seconds * 1_000 || 0, shortest), longest)
}

function copyOf(input: RequestInfo | URL): RequestInfo | URL {
  return input instanceof Request ? input.clone() : input
}
