/** Bodies of strangers. */
import { Problem } from '../problem.ts'

/** @throws {Problem} 413 for one that is longer than `longest` bytes, 400 for what is no JSON object. */
export async function readJson(request: Request, longest: number): Promise<Record<string, unknown>> {
  const text = new TextDecoder().decode(await readBytes(request, longest))
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>
  } catch {}
  throw new Problem(400, 'invalid_json', 'The body is no JSON object.', {
    action: 'Send one, with Content-Type: application/json.',
  })
}

async function readBytes(request: Request, longest: number): Promise<Uint8Array> {
  const tooLong = new Problem(413, 'too_large', `The body is longer than ${longest} bytes.`)
  if (Number(request.headers.get('content-length') ?? 0) > longest) throw tooLong
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of request.body ?? []) {
    length += part.length
    if (length > longest) throw tooLong
    parts.push(part)
  }
  return Buffer.concat(parts)
}
