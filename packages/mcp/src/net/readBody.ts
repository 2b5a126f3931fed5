/** Reads what others send: no more than so much of it, and not for longer than it comes. */

/** How long a server may be silent, in milliseconds. */
export const longestSilence = 300_000

export type Body = {
  bytes: Uint8Array
  /** Whether there was more. The rest was left: of a stream that is paid as it comes, it costs nothing. */
  isCut: boolean
}

/** The pieces of a body, up to `limit` bytes; gives the rest back. @throws When nothing comes for {@link longestSilence}. */
export async function* readPieces(response: Response, limit: number): AsyncGenerator<Uint8Array, boolean> {
  const reader = response.body?.getReader()
  if (!reader) return false
  let length = 0
  try {
    for (;;) {
      const { done, value } = await unlessSilent(reader.read())
      if (done) return false
      const room = limit - length
      if (value.length > room) {
        yield value.subarray(0, room)
        return true
      }
      length += value.length
      yield value
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}

/** A whole body, up to `limit` bytes. */
export async function readBody(response: Response, limit: number): Promise<Body> {
  const pieces: Uint8Array[] = []
  const reading = readPieces(response, limit)
  for (;;) {
    const next = await reading.next()
    if (next.done) return { bytes: Buffer.concat(pieces), isCut: next.value }
    pieces.push(next.value)
  }
}

/** A body as text, up to `limit` bytes. */
export async function readText(response: Response, limit: number): Promise<{ text: string; isCut: boolean }> {
  const { bytes, isCut } = await readBody(response, limit)
  return { text: new TextDecoder().decode(bytes), isCut }
}

function unlessSilent<T>(reading: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`nothing came for ${longestSilence / 1_000} seconds`))
    }, longestSilence)
  })
  return Promise.race([reading, silence]).finally(() => clearTimeout(timer))
}
