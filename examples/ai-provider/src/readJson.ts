/** A JSON body, or why it cannot be used. */
export type JsonBody =
  | { ok: true; value: unknown; text: string }
  | { ok: false; status: 400 | 413; message: string }

/** Parses a request's body as JSON, reading at most `maxBytes`. Never throws. */
export async function readJson(request: Request, maxBytes: number): Promise<JsonBody> {
  const tooLarge = { ok: false, status: 413, message: `The body is larger than ${maxBytes} bytes.` } as const
  if (Number(request.headers.get('Content-Length') ?? 0) > maxBytes) return tooLarge
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true })
    let text = ''
    let size = 0
    for await (const chunk of request.body ?? []) {
      size += chunk.length
      if (size > maxBytes) return tooLarge
      text += decoder.decode(chunk, { stream: true })
    }
    text += decoder.decode()
    return { ok: true, value: JSON.parse(text), text }
  } catch {
    return { ok: false, status: 400, message: 'The body is not JSON.' }
  }
}
