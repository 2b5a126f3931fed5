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
  if (!alphabet.test(encoded)) return undefined
  try {
    const text =
      typeof Buffer === 'function'
        ? Buffer.from(encoded, 'base64url').toString('utf8')
        : decoder.decode(
            Uint8Array.from(atob(encoded.replaceAll('-', '+').replaceAll('_', '/')), (char) =>
              char.charCodeAt(0),
            ),
          )
    // Bytes that are no UTF-8 become this character; so does the character itself, which nothing here needs. Bits that are left
    // over in the last character would give one text two encodings.
    if (text.includes('\ufffd')) return undefined
    return isWhole(encoded) ? text : undefined
  } catch {
    return undefined
  }
}

const alphabet = /^[A-Za-z0-9_-]*$/
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Whether no bits are left over in the last character. */
function isWhole(encoded: string): boolean {
  const rest = encoded.length % 4
  if (rest === 0) return true
  if (rest === 1) return false
  const last = encoded.at(-1) as string
  return (rest === 2 ? 'AQgw' : 'AEIMQUYcgkosw048').includes(last)
}
