/** The providers that a step may name, as the directory lists them now. */
import { call } from '../api.ts'

export type Offer = {
  id: string
  name: string
  protocol: string
  models: readonly {
    id: string
    name: string
    pricing: { inputPer1kTokens: string | null; outputPer1kTokens: string | null }
  }[]
}

export type Offers = {
  /** The best of them, to choose from. */
  list(): Promise<readonly Offer[]>
  /** Any, by its id; `undefined` where there is none. */
  get(id: string): Promise<Offer | undefined>
  /** The same, if it is known already. */
  known(id: string): Offer | undefined
}

export function createOffers(): Offers {
  const all = new Map<string, Offer | undefined>()
  return {
    async list() {
      const { providers } = await call<{ providers: Offer[] }>('GET', '/api/directory/providers?limit=200')
      for (const offer of providers) all.set(offer.id, offer)
      return providers
    },
    async get(id) {
      if (!all.has(id) && /^[\w.:@-]{1,100}$/.test(id)) {
        const path = `/api/directory/providers/${encodeURIComponent(id)}`
        all.set(id, await call<Offer>('GET', path).catch(() => undefined))
      }
      return all.get(id)
    },
    known: (id) => all.get(id),
  }
}
