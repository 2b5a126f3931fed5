/** Fields of a JSON object that somebody else wrote. */
export type Json = Record<string, unknown>

/** More than any answer of the protocol needs, in bytes. */
const longest = 1 << 20

/**
 * Reads an answer as a JSON object, of bounded size.
 *
 * @throws When it isn't one, is longer, or the status isn't 2xx.
 */
export async function readJson(response: Response): Promise<Json> {
  if (!response.ok) {
    await discard(response)
    throw new Error(`the answer is HTTP ${response.status}`)
  }
  return readObject(response)
}

/**
 * Reads the JSON object of an answer of any status, of bounded size.
 *
 * @throws When it isn't one, or is longer.
 */
export async function readObject(response: Response): Promise<Json> {
  const decoder = new TextDecoder()
  const reader = response.body?.getReader()
  let text = ''
  let length = 0
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    length += part.value.length
    if (length > longest) {
      await reader?.cancel()
      throw new Error(`the answer is longer than ${longest} bytes`)
    }
    text += decoder.decode(part.value, { stream: true })
  }
  const json: unknown = JSON.parse(text + decoder.decode())
  if (typeof json !== 'object' || json === null) throw new Error('the answer is no JSON object')
  return json as Json
}

/** Gives the connection of an unread answer back. */
export async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => {})
}
