/** What of a node's URL is left out of text. Shorter pieces would be words that mean nothing. */
const shortest = 8

/**
 * A text without the URL of a node, and without the pieces of it that may be a key: who asks, path, query. Nodes repeat them in
 * their errors, whole or in part. Before a text is cut: half a key would not be found.
 */
export function withoutUrls(text: string, rpcUrl: string | undefined): string {
  if (!rpcUrl) return text
  const pieces = [...new Set(piecesOf(rpcUrl).flatMap(spellings))]
    .filter((piece) => piece.length >= shortest)
    // A piece may be part of another one.
    .sort((one, other) => other.length - one.length)
  if (pieces.length === 0) return text
  // In one pass, so that nothing is found in what was put in.
  return text.replace(new RegExp(pieces.map(escaped).join('|'), 'gi'), '(not shown)')
}

function piecesOf(text: string): string[] {
  if (!URL.canParse(text)) return [text]
  const { href, username, password, pathname, search, searchParams, hash } = new URL(text)
  const who = `${decoded(username)}:${decoded(password)}`
  const base64 = Buffer.from(who).toString('base64')
  return [
    ...[text, href, href.replace(/\/$/, '')],
    ...[username, password, `${username}:${password}`, who, base64, base64.replace(/=+$/, '')],
    ...[`${pathname}${search}`, pathname, ...pathname.split('/')],
    ...[search, ...search.replace('?', '').split('&'), ...searchParams.keys(), ...searchParams.values()],
    hash.replace('#', ''),
  ]
}

/** As it stands in the URL, as it is meant, and as either stands in JSON or in another URL. */
function spellings(piece: string): string[] {
  const meant = decoded(piece)
  const inJson = [piece, meant].map((one) => JSON.stringify(one).slice(1, -1))
  return [piece, meant, ...inJson, piece.replaceAll('/', '\\/'), encodeURIComponent(meant)]
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&')
}
