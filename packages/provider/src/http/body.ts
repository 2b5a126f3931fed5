/** Request bodies, read with a limit. */

/** A body, or why it cannot be used. */
export type Body =
  | { ok: true; bytes: Uint8Array<ArrayBuffer> }
  | { ok: false; status: 400 | 413; message: string }

/** A JSON body, or why it cannot be used. */
export type JsonBody = { ok: true; value: unknown } | { ok: false; status: 400 | 413; message: string }

/** Reads at most `maxBytes` of a body. Never throws. */
export async function readBody(request: Request, maxBytes: number): Promise<Body> {
  const tooLarge = { ok: false, status: 413, message: `The body is larger than ${maxBytes} bytes.` } as const
  if (Number(request.headers.get('Content-Length') ?? 0) > maxBytes) return tooLarge
  try {
    const chunks: Uint8Array[] = []
    let size = 0
    const reader = request.body?.getReader()
    while (reader) {
      const { done, value } = await reader.read()
      if (done) break
      size += value.length
      if (size > maxBytes) {
        // Not waited for: the cancellation of a copy ends with the original's.
        reader.cancel().catch(() => {})
        return tooLarge
      }
      chunks.push(value)
    }
    return { ok: true, bytes: concatBytes(chunks) }
  } catch {
    return { ok: false, status: 400, message: 'The body cannot be read.' }
  }
}

/** Parses a body as JSON, reading at most `maxBytes`. Never throws. */
export async function readJson(request: Request, maxBytes = 65_536): Promise<JsonBody> {
  const body = await readBody(request, maxBytes)
  if (!body.ok) return body
  try {
    return { ok: true, value: JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body.bytes)) }
  } catch {
    return { ok: false, status: 400, message: 'The body is not JSON.' }
  }
}

/** Bytes in one piece. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}
