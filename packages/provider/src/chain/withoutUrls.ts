/**
 * Takes what could give the node's URL away, and with it the operator's key, out of an error and its causes: texts keep their
 * sense, and the `url` is gone. Changes the error itself, so that it stays what it is to `instanceof` and `walk`.
 */
export function withoutUrls<error>(error: error, urls: readonly string[]): error {
  const parts = [...new Set(urls.flatMap(tellingParts))].sort((a, b) => b.length - a.length)
  clean(error, parts, new Set())
  return error
}

const placeholder = '[node]'

/** Shorter ones are hardly secret, and are words of other sentences. */
const leastLength = 6

/** The URL as errors quote it, and what of it may be quoted alone: by the resolver of names, or by the node. */
function tellingParts(url: string): string[] {
  const { href, host, hostname, username, password, pathname, searchParams } = new URL(url)
  const bare = new URL(url)
  bare.username = ''
  bare.password = ''
  const whole = [url, href, bare.href].flatMap((text) => [text, text.replace(/\/$/, '')])
  const pieces = [hostname, username, password, ...pathname.split('/'), ...searchParams.values()]
  const long = [...pieces, ...pieces.map(decoded)].filter((piece) => piece.length >= leastLength)
  return [...whole, ...(host === hostname ? [] : [host]), ...long]
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function clean(value: unknown, parts: readonly string[], seen: Set<unknown>): void {
  if (typeof value !== 'object' || value === null || seen.has(value)) return
  seen.add(value)
  const fields = value as Record<string, unknown>
  const text = (from: string) => parts.reduce((rest, part) => rest.replaceAll(part, placeholder), from)
  for (const name of Object.getOwnPropertyNames(value)) {
    const field = fields[name]
    if (typeof field === 'string') replace(fields, name, text(field))
    else if (Array.isArray(field)) {
      for (const item of field) if (item instanceof Error) clean(item, parts, seen)
      if (field.some((item) => typeof item === 'string'))
        replace(
          fields,
          name,
          field.map((item) => (typeof item === 'string' ? text(item) : item)),
        )
      // The answer of a node is a cause, and no `Error`. Other objects are the caller's, such as the request.
    } else if (field instanceof Error || name === 'cause') clean(field, parts, seen)
  }
}

function replace(fields: Record<string, unknown>, name: string, value: unknown): void {
  if (fields[name] === value) return
  Object.defineProperty(fields, name, { value, writable: true, configurable: true })
}
