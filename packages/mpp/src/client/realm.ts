/** Whose challenges count: a credential answers for one server, and goes to no other. */

/**
 * Whether a realm names the server of a URL: its origin, host or host name. Not a domain that it is in: others may be in it too
 * (vercel.app, co.uk).
 */
export function isRealmOf(realm: string, url: URL): boolean {
  const given = realm.toLowerCase()
  return [url.origin, url.host, url.hostname].includes(given)
}
