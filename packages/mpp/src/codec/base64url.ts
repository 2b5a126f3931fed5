/** Base64 with the alphabet of URLs and without padding (RFC 4648, section 5), of UTF-8 text. */

/** A text, encoded. */
export function encodeText(text: string): string {
  if (typeof Buffer === 'function') return Buffer.from(text, 'utf8').toString('base64url')
  return encodeBytes(new TextEncoder().encode(text))
}

/** Bytes, encoded. */
export function encodeBytes(bytes: Uint8Array): string {
  if (typeof Buffer === 'function') {
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url')
  }
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** The text of what {@link encodeText} makes, and of nothing else: no padding, no other alphabet, nothing but UTF-8. */
export function decodeText(encoded: string): string | undefined {
  const text = typeof Buffer === 'function' ? decodeInNode(encoded) : decodeAnywhere(encoded)
  // What is no UTF-8 becomes this sign; so does the sign itself, which nothing here needs.
  return text?.includes('\ufffd') ? undefined : text
}

function decodeInNode(encoded: string): string | undefined {
  const bytes = Buffer.from(encoded, 'base64url')
  // Node skips what it can't read, and bits that are left over.
  return bytes.toString('base64url') === encoded ? bytes.toString('utf8') : undefined
}

function decodeAnywhere(encoded: string): string | undefined {
  try {
    const binary = atob(encoded.replaceAll('-', '+').replaceAll('_', '/'))
    const bytes = Uint8Array.from(binary, (char) => char.charCodeAt(0))
    return encodeBytes(bytes) === encoded ? decoder.decode(bytes) : undefined
  } catch {
    return undefined
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
