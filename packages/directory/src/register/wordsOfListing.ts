/** What an owner says of a listing, as the API takes it for a change. */
import type { Profile, ProviderRecord } from '../Provider.ts'

/** What isn't said is left out. */
export type ListingWords = { apiUrl: string } & { [name in keyof Profile]?: NonNullable<Profile[name]> }

/** All of it: a change says everything anew. */
export function wordsOfListing({
  apiUrl,
  profile,
}: Pick<ProviderRecord, 'apiUrl' | 'profile'>): ListingWords {
  const said = Object.entries(profile).filter(([, value]) => value !== null)
  return { apiUrl, ...Object.fromEntries(said) }
}
