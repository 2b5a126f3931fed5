import type { Answer } from './Answer.ts'
import { concatBytes } from './body.ts'

/**
 * A response whose body was read, if it isn't longer than `maxBytes`; else the same response, to be read as it comes.
 * @throws What the body fails with.
 */
export async function readAnswer(
  response: Response,
  maxBytes: number,
): Promise<{ response: Response; answer?: Answer }> {
  const { status, statusText, headers, body: stream } = response
  if (!stream) return { response, answer: { status, headers, body: new Uint8Array() } }
  if (Number(headers.get('Content-Length') ?? 0) > maxBytes) return { response }
  const reader = stream.getReader()
  const parts: Uint8Array[] = []
  let size = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    parts.push(value)
    size += value.length
    if (size > maxBytes)
      return { response: new Response(resumed(parts, reader), { status, statusText, headers }) }
  }
  const body = concatBytes(parts)
  return { response: new Response(body, { status, statusText, headers }), answer: { status, headers, body } }
}

function resumed(
  parts: Uint8Array[],
  reader: ReadableStreamDefaultReader<Uint8Array>,
): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      const part = parts.shift()
      if (part) return controller.enqueue(part)
      const { done, value } = await reader.read()
      if (done) controller.close()
      else controller.enqueue(value)
    },
    cancel: (reason) => reader.cancel(reason),
  })
}
