/** Challenges of a `WWW-Authenticate` header (RFC 9110, 11.6.1): of any scheme, joined in one header or not. */

/** A scheme with its parameters, by their names in lower case; without them where one is repeated or can't be read. */
export type Challenge = { scheme: string; params: ReadonlyMap<string, string> | undefined }

/** The longest header that is read, in characters. */
const longest = 64 * 1_024

/**
 * The challenges of a header, up to what can't be read; a challenge that breaks off is left out. `\u` and four hexadecimal digits in a
 * quoted value are a UTF-16 unit, as mppx writes what a header can't carry.
 */
export function parse(value: string | null): Challenge[] {
  return value === null || value.length > longest ? [] : [...read(value)]
}

function* read(value: string): Generator<Challenge> {
  const token = /[\s,]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*/y
  const quoted = /\s*"((?:[^"\\]|\\[\s\S])*)"/y
  const plain = /\s*([^,]*)/y
  let current: { scheme: string; params: Map<string, string> | undefined } | undefined
  let at = 0
  for (;;) {
    token.lastIndex = at
    const name = token.exec(value)?.[1]
    if (name === undefined) break
    at = token.lastIndex
    if (value[at] !== '=') {
      if (current) yield current
      current = { scheme: name, params: new Map() }
      continue
    }
    quoted.lastIndex = plain.lastIndex = at + 1
    const text = quoted.exec(value)
    const bare = text ?? plain.exec(value)
    at = text ? quoted.lastIndex : plain.lastIndex
    const key = name.toLowerCase()
    if (!current?.params || !bare) continue
    const given = bare[1] ?? ''
    if (current.params.has(key) || (!text && given.includes('"'))) current.params = undefined
    else current.params.set(key, text ? unquoted(given) : given.trim())
  }
  // What is left over was a challenge that broke off.
  if (current && /^[\s,]*$/.test(value.slice(at))) yield current
}

function unquoted(text: string): string {
  if (!text.includes('\\')) return text
  return text.replace(/\\(?:u([0-9A-Fa-f]{4})|([\s\S]))/g, (_, unit?: string, char?: string) =>
    unit === undefined ? (char as string) : String.fromCharCode(Number.parseInt(unit, 16)),
  )
}
