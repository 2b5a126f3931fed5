/** Parts of a request's address, which is absolute and normalized: cut out, since parsing takes longer than they are worth. */

/** Such as `https://api.example`. */
export function originOf(url: string): string {
  return url.slice(0, pathStart(url))
}

/** From the slash to the query, percent-encoded as it came. */
export function pathOf(url: string): string {
  return url.slice(pathStart(url), pathEnd(url)) || '/'
}

/** The query with its question mark, or nothing. */
export function searchOf(url: string): string {
  const end = pathEnd(url)
  if (url[end] !== '?') return ''
  const hash = url.indexOf('#', end)
  return url.slice(end, hash < 0 ? url.length : hash)
}

function pathStart(url: string): number {
  const authority = url.indexOf('://') + 3
  for (let at = authority; at < url.length; at += 1) {
    const char = url[at]
    if (char === '/' || char === '?' || char === '#') return at
  }
  return url.length
}

function pathEnd(url: string): number {
  for (let at = pathStart(url); at < url.length; at += 1) {
    const char = url[at]
    if (char === '?' || char === '#') return at
  }
  return url.length
}
