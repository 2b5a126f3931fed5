import { DrainError, UntrustedProviderError } from '@drain/core'
import { type Challenge, parseChallenges } from '../codec/challenge.ts'
import { isRealmOf } from './realm.ts'

/** The most challenges that are remembered while nothing answers them, and the most bytes of what was asked. */
const [most, mostBytes] = [1_000, 16 * 1_024 * 1_024]
/** Of one 402: more offers of a kind are nobody's. */
const mostOfOne = 4
/** No challenge is remembered for longer than this, in milliseconds. */
const longest = 600_000

/**
 * The challenges that came through a method's own fetch, with what was asked, until mppx has them answered: a challenge alone
 * doesn't say which server it came from.
 */
export type AskedChallenges<asked> = {
  /** @param bytes What `asked` takes, about. */
  remember(response: Response, url: URL, asked: asked, bytes?: number): void
  /** Forgets who was asked by the challenges of a response: a request that was paid asks for nothing more. */
  drop(response: Response): void
  /**
   * What was asked, once.
   *
   * @throws {UntrustedProviderError} The challenge names another server than the one that it came from.
   * @throws {DrainError} `mpp_fetch_missing`
   */
  recall(challenge: Pick<Challenge, 'id' | 'realm'>): asked
}

/** `asked` is missing where the server has no business to show that challenge. */
type Entry<asked> = Pick<Challenge, 'id' | 'realm'> & {
  origin: string
  asked?: asked
  bytes: number
  until: number
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
  let entries: Entry<asked>[] = []

  const challengesOf = (response: Response) =>
    parseChallenges(response.headers.get('WWW-Authenticate')).filter(
      (one) => one.method === method && one.intent === intent,
    )

  function forget(): void {
    entries = entries.filter(({ until }) => until > now())
    let bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0)
    while (entries.length > most || (bytes > mostBytes && entries.length > 1)) {
      bytes -= entries.shift()?.bytes ?? 0
    }
  }

  return {
    remember(response, url, asked, bytes = 0) {
      const length = response.headers.get('WWW-Authenticate')?.length ?? 0
      for (const { id, realm, expires } of challengesOf(response).slice(0, mostOfOne)) {
        const isOwn = isRealmOf(realm, url) || realms.includes(realm)
        const end = expires === undefined ? longest : Date.parse(expires) - now()
        entries.push({
          ...{ id, realm, origin: url.origin, until: now() + Math.min(end, longest) },
          ...(isOwn && { asked }),
          bytes: length + (isOwn ? bytes : 0),
        })
      }
      forget()
    },
    drop(response) {
      const ids = new Set(challengesOf(response).map(({ id }) => id))
      entries = entries.filter(({ id }) => !ids.has(id))
    },
    recall({ id, realm }) {
      const same = entries.filter((entry) => entry.id === id && entry.realm === realm)
      // Servers may give one challenge to many: whoever answers it first takes the place of one of them.
      const own = same.find((entry) => entry.asked !== undefined)
      if (own?.asked !== undefined) {
        entries.splice(entries.indexOf(own), 1)
        return own.asked
      }
      const [foreign] = same
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
