/** Request bodies, read with a limit. */

/** A JSON body, or why it cannot be used. */
export type JsonBody = { ok: true; value: unknown } | { ok: false; status: 400 | 413; message: string }

/** Parses a body as JSON, reading at most `maxBytes`. Never throws. */
export async function readJson(request: Request, maxBytes = 65_536): Promise<JsonBody> {
  const tooLarge = { ok: false, status: 413, message: `The body is larger than ${maxBytes} bytes.` } as const
  const noJson = { ok: false, status: 400, message: 'The body is not JSON.' } as const
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
        await reader.cancel()
        return tooLarge
      }
      chunks.push(value)
    }
    const bytes = new Uint8Array(size)
    let offset = 0
    for (const chunk of chunks) {
      bytes.set(chunk, offset)
      offset += chunk.length
    }
    return { ok: true, value: JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) }
  } catch {
    return noJson
  }
}
