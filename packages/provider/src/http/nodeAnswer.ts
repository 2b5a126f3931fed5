/** Answers written to Node's responses. */
import type { ServerResponse } from 'node:http'
import type { PlainAnswer } from './PlainAnswer.ts'

/** Writes an answer that is there as a whole. */
export function sendPlain(res: ServerResponse, { status, headers, body }: PlainAnswer): void {
  // With its length, head and body leave in one piece; without, Node would send them in chunks.
  res.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) })
  res.end(body)
}

/**
 * Writes a web-standard response as fast as the client reads it. When the client goes away, the response's body is
 * cancelled. Resolves at the end; never throws.
 */
export async function sendResponse(res: ServerResponse, response: Response): Promise<void> {
  const { body } = response
  try {
    res.statusCode = response.status
    for (const [name, value] of response.headers) {
      if (name === 'set-cookie') res.appendHeader(name, value)
      else res.setHeader(name, value)
    }
    if (!body || res.req?.method === 'HEAD') {
      res.end()
      await body?.cancel()
      return
    }
    await pump(res, body)
  } catch {
    // The body failed, or is no body: after its first bytes nothing but the end of the connection can tell.
    await body?.cancel().catch(() => {})
    res.destroy()
  }
}

async function pump(res: ServerResponse, body: ReadableStream<Uint8Array>): Promise<void> {
  const reader = body.getReader()
  let goOn: (() => void) | undefined
  const wake = () => goOn?.()
  let isGone = res.destroyed
  const onClose = () => {
    isGone = true
    if (!res.writableFinished) reader.cancel().catch(() => {})
    wake()
  }
  res.on('close', onClose).on('drain', wake)
  if (isGone) onClose()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done || isGone) break
      if (res.write(value)) continue
      await new Promise<void>((resolve) => {
        goOn = resolve
        if (isGone || !res.writableNeedDrain) resolve()
      })
    }
    res.end()
  } finally {
    res.off('close', onClose).off('drain', wake)
    reader.releaseLock()
  }
}
