import { DrainError, UntrustedProviderError } from '@drain/core'
import { type Challenge, parseChallenges } from '../codec/challenge.ts'
import { isRealmOf } from './realm.ts'

/** The most 402s that are remembered while nothing answers them, and the most bytes of what was asked. */
const [most, mostBytes] = [1_000, 16 * 1_024 * 1_024]
/** Of one 402: more offers of a kind are nobody's. */
const mostOfOne = 4
/** No challenge is remembered for longer than this, in milliseconds. */
const longest = 600_000

/**
 * The 402s that came through a method's own fetch, with what was asked, until mppx has one of their challenges answered: a challenge
 * alone doesn't say which server it came from.
 */
export type AskedChallenges<asked> = {
  /** @param bytes What `asked` takes, about. */
  remember(response: Response, url: URL, asked: asked, bytes?: number): void
  /**
   * What was asked, once: all that came with the same 402 is forgotten, so that one request is paid by one of its challenges, however
   * often and in whatever form the server shows the others again.
   *
   * @throws {UntrustedProviderError} The challenge names another server than the one that it came from.
   * @throws {DrainError} `mpp_fetch_missing`
   */
  recall(challenge: Pick<Challenge, 'id' | 'realm'>): asked
}

/** A 402. `isOwn`: the server has business to show that challenge. */
type Shown<asked> = {
  offers: (Pick<Challenge, 'id' | 'realm'> & { isOwn: boolean; until: number })[]
  origin: string
  asked: asked
  bytes: number
}

export function createAskedChallenges<asked>(options: {
  /** Of whom challenges are remembered. */
  method: string
  intent: string
  /** Taken beside those that name the server. */
  realms?: readonly string[] | undefined
  /** Unix milliseconds. */
  now: () => number
}): AskedChallenges<asked> {
  const { method, intent, realms = [], now } = options
  let shown: Shown<asked>[] = []

  function forget(): void {
    shown = shown.filter(({ offers }) => offers.some(({ until }) => until > now()))
    let bytes = shown.reduce((sum, one) => sum + one.bytes, 0)
    while (shown.length > most || (bytes > mostBytes && shown.length > 1)) bytes -= shown.shift()?.bytes ?? 0
  }

  return {
    remember(response, url, asked, bytes = 0) {
      const header = response.headers.get('WWW-Authenticate')
      const offers = parseChallenges(header)
        .filter((one) => one.method === method && one.intent === intent)
        .slice(0, mostOfOne)
        .map(({ id, realm, expires }) => {
          const isOwn = isRealmOf(realm, url) || realms.includes(realm)
          const end = expires === undefined ? longest : Date.parse(expires) - now()
          return { id, realm, isOwn, until: now() + Math.min(end, longest) }
        })
      shown.push({ offers, origin: url.origin, asked, bytes: (header?.length ?? 0) + bytes })
      forget()
    },
    recall({ id, realm }) {
      const showing = (isOwn: boolean) => (one: Shown<asked>) =>
        one.offers.some(
          (offer) => offer.id === id && offer.realm === realm && offer.isOwn === isOwn && offer.until > now(),
        )
      // Servers may give one challenge to many: whoever answers it first takes the place of one of them.
      const own = shown.find(showing(true))
      if (own) {
        shown.splice(shown.indexOf(own), 1)
        return own.asked
      }
      const foreign = shown.find(showing(false))
      if (foreign) {
        throw new UntrustedProviderError(
          `${foreign.origin} asks for a payment to ${JSON.stringify(realm.slice(0, 100))}.`,
          'A challenge is for the server that sends it. Call that one directly, if you trust it.',
        )
      }
      throw new DrainError(
        'mpp_fetch_missing',
        'This challenge did not come through the method’s own fetch, or has expired.',
        {
          action: 'Create mppx with it: Mppx.create({ methods: [own], fetch: own.fetch, polyfill: false }).',
        },
      )
    },
  }
}
