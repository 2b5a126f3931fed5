/** Whose challenges count: a credential answers for one server, and goes to no other. */

/** Whether a realm names the server of a URL: its origin, host or host name. */
export function isRealmOf(realm: string, url: URL): boolean {
  const given = realm.toLowerCase()
  return [url.origin, url.host, url.hostname].includes(given)
}

/** The same, or the name of a domain that the host is in. A top-level domain is none. */
export function isRealmAround(realm: string, url: URL): boolean {
  if (isRealmOf(realm, url)) return true
  const given = realm.toLowerCase()
  return /^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/.test(given) && url.hostname.endsWith(`.${given}`)
}
