/** Challenges of a server: made under its secret, and known again by it. */
import { DrainError } from '@drain/core'
import type { Notebook } from '@drain/provider'
import {
  boundText,
  type Challenge,
  challengeSeries,
  encodeRequest,
  serializeChallenge,
} from '../codec/challenge.ts'
import type { Credential } from '../codec/credential.ts'
import { createHmac, isEqual } from '../codec/hmac.ts'
import type { ProblemName } from '../method/problems.ts'

export type SecretInput = {
  /**
   * Signs challenges, at least 32 bytes, the same in all processes. Of several the first signs, and all are accepted: that is
   * how to change it. By default one is made, and kept in the ledger's store, which the processes share.
   */
  secret?: string | readonly string[] | undefined
}

export type Challenges = {
  /** Resolves when there is a secret. */
  ready(): Promise<void>
  /** A challenge with its id; `request` as it is, or encoded. Only when ready. */
  make(
    fields: Omit<Challenge, 'id' | 'request'> & { request: string | Readonly<Record<string, unknown>> },
  ): Challenge
  /** Challenges as they stand in the header, each with an `opaque` of its own. Only when ready. */
  series(fields: Omit<Challenge, 'id' | 'expires' | 'opaque'>): (expires: string, opaque: string) => string
  /** What is wrong with the challenge that a credential answers, if anything. `now`: milliseconds. */
  judge(challenge: Credential['challenge'], origin: string, now: number): ChallengeProblem | undefined
}

export type ChallengeProblem = { problem: ProblemName; message: string }

/** The note that keeps a secret which nobody has configured. */
const noteKey = 'mpp/secret'
const leastSecretBytes = 32

/** Challenges whose ids are known without computing them again. */
const remembered = 1_024

/** @throws {DrainError} `invalid_secret` */
export function createChallenges({ secret }: SecretInput, notebook: Pick<Notebook, 'write'>): Challenges {
  const configured = secret === undefined ? [] : [secret].flat()
  for (const one of configured) assertSecret(one)
  let signers = configured.map(createHmac)
  const known = new Map<string, string>()

  function remember(challenge: Challenge): void {
    if (known.size >= remembered) known.clear()
    known.set(challenge.id, boundText(challenge))
  }

  function isOurs(challenge: Challenge): boolean {
    if (isAmbiguous(challenge)) return false
    const text = boundText(challenge)
    const before = known.get(challenge.id)
    if (before !== undefined) return before === text
    if (!signers.some((sign) => isEqual(sign(text), challenge.id))) return false
    remember(challenge)
    return true
  }

  function signer(): (text: string) => string {
    const [sign] = signers
    if (!sign) throw new Error('The challenges’ secret is not there yet: await ready().')
    return sign
  }

  return {
    async ready() {
      if (signers.length > 0) return
      const made = createHmacSecret()
      const kept = await notebook.write(noteKey, (text) =>
        text === undefined ? { result: made, write: made } : { result: text },
      )
      signers = [createHmac(kept)]
    },
    make({ request, ...fields }) {
      const encoded = typeof request === 'string' ? request : encodeRequest(request)
      const bound = { ...fields, request: encoded }
      const challenge = { ...bound, id: signer()(boundText(bound)) }
      remember(challenge)
      return challenge
    },
    series: (fields) => challengeSeries(fields, signer()),
    judge(challenge, origin, now) {
      if (!isOurs(challenge)) {
        return invalid('it was not made here, or not for this. Ask again without a payment.')
      }
      if (challenge.realm !== realmOf(origin)) return invalid('it was made for another realm.')
      // Those that are made here have one.
      const { expires } = challenge
      // Written so that an unreadable end is over.
      if (expires === undefined || !(Date.parse(expires) > now)) {
        return { problem: 'payment-expired', message: 'The challenge has expired. Answer a fresh one.' }
      }
      return undefined
    },
  }
}

/** Whether a field has the sign in it that stands between them in what is signed: it could pass for two. */
function isAmbiguous({
  realm,
  method,
  intent,
  request,
  expires,
  digest,
  header,
  opaque,
}: Challenge): boolean {
  for (const field of [realm, method, intent, request, expires, digest, header, opaque]) {
    if (field?.includes('|')) return true
  }
  return false
}

function invalid(reason: string): ChallengeProblem {
  return { problem: 'invalid-challenge', message: `The challenge isn’t valid: ${reason}` }
}

function createHmacSecret(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(leastSecretBytes))
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

function assertSecret(secret: string): void {
  if (new TextEncoder().encode(secret).length >= leastSecretBytes) return
  throw new DrainError('invalid_secret', `A secret for challenges needs ${leastSecretBytes} bytes or more.`, {
    action: 'Make one with `openssl rand -hex 32`.',
  })
}

const realms = new Map<string, string>()
/** The most origins that are remembered: whoever asks names them. */
const rememberedOrigins = 16

/** What a server calls itself to those who reach it at an origin: its host, with a port where that isn't the scheme's own. */
export function realmOf(origin: string): string {
  const known = realms.get(origin)
  if (known !== undefined) return known
  const { host } = new URL(origin)
  if (realms.size >= rememberedOrigins) realms.clear()
  realms.set(origin, host)
  return host
}

/**
 * Challenges that are the same for everybody, kept until they are a while old: a 402 costs no more than without them.
 *
 * @param make The challenge for a price, with its end as it stands in it.
 */
export function createOfferCache(
  make: (offered: { origin: string; amount: bigint; expires: string }) => Challenge,
  lifeMs = 300_000,
): (origin: string, amount: bigint, now: number) => string {
  let slot = Number.NaN
  const offers = new Map<string, string>()
  return (origin, amount, now) => {
    const current = Math.floor(now / slotMs)
    if (current !== slot || offers.size >= remembered) {
      offers.clear()
      slot = current
    }
    const key = `${amount} ${origin}`
    const known = offers.get(key)
    if (known !== undefined) return known
    const expires = new Date((current + 1) * slotMs + lifeMs).toISOString()
    const offer = serializeChallenge(make({ origin, amount, expires }))
    offers.set(key, offer)
    return offer
  }
}

/** Challenges made within this time are one. */
const slotMs = 30_000
