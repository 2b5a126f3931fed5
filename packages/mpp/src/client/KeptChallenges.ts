import type { ReplayableRequest } from '@drain/consumer'
import type { SessionOffer } from './sessionOffer.ts'

/** No challenge is kept for longer than this, whatever it says of its end, in milliseconds. */
const longest = 600_000

/** How long before its end a challenge is no longer used unasked: the request is under way for a while. In milliseconds. */
const margin = 5_000

/** For how many routes challenges are kept: paths may carry ids. */
const mostRoutes = 1_000

/**
 * The challenges that the next credentials answer, by origin, method and path: servers may bind a challenge to its route. One
 * that is bound to a body answers for its own request only.
 */
export type KeptChallenges = ReturnType<typeof createKeptChallenges>

/** @param now Unix milliseconds. */
export function createKeptChallenges(now: () => number) {
  const byRoute = new Map<string, { offer: SessionOffer; until: number }>()
  const byRequest = new WeakMap<ReplayableRequest, SessionOffer>()

  return {
    /** The newest challenge that a request got: it answers that one, and others of its route from now on. */
    keep(request: ReplayableRequest, offer: SessionOffer): void {
      const { digest, expires } = offer.challenge
      byRequest.set(request, offer)
      const route = routeOf(request)
      byRoute.delete(route)
      if (digest !== undefined || expires === undefined) return
      byRoute.set(route, { offer, until: Math.min(Date.parse(expires), now() + longest) })
      const [oldest] = byRoute.keys()
      if (byRoute.size > mostRoutes && oldest !== undefined) byRoute.delete(oldest)
    },
    /** Nothing that is known of a route can be used any more. */
    drop: (request: ReplayableRequest): boolean => byRoute.delete(routeOf(request)),
    /** The challenge that a request is to answer; found once, it stays with the request. */
    find(request: ReplayableRequest): SessionOffer | undefined {
      const own = byRequest.get(request)
      if (own) return own
      const kept = byRoute.get(routeOf(request))
      // Written so that an unreadable end is none.
      if (!kept || !(now() + margin < kept.until)) return undefined
      byRequest.set(request, kept.offer)
      return kept.offer
    },
  }
}

function routeOf({ method, url }: ReplayableRequest): string {
  return `${method} ${url.origin}${url.pathname}`
}
