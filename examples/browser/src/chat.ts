/** One streamed answer of an OpenAI-compatible API. */

export type Message = { role: 'user' | 'assistant'; content: string }

/** Yields the answer in pieces, as they come. */
export async function* ask(
  fetch: typeof globalThis.fetch,
  { origin, model }: { origin: string; model: string },
  messages: readonly Message[],
): AsyncGenerator<string> {
  const response = await fetch(`${origin}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ model, messages, stream: true, max_tokens: 512 }),
  })
  if (!response.ok || !response.body) throw new Error(`The provider answers ${response.status}.`)
  let rest = ''
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (!line.startsWith('data: {')) continue
      const piece = JSON.parse(line.slice('data: '.length)).choices?.[0]?.delta?.content
      if (piece) yield piece
    }
  }
}
