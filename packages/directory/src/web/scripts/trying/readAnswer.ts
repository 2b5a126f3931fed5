/** An answer of a provider as text, in pieces as they come: a stream of OpenAI's kind, or anything else whole. */

/** More than anybody reads, in characters. */
const most = 200_000

/** @throws Where it is a refusal. */
export async function* readAnswer(response: Response): AsyncGenerator<string> {
  if (!response.ok) throw new Error(await refusalOf(response))
  let length = 0
  const isStream = response.headers.get('content-type')?.includes('text/event-stream')
  for await (const piece of isStream ? piecesOf(response) : wholeOf(response)) {
    yield piece
    length += piece.length
    if (length > most) {
      yield '\n… (cut here: it is very long)'
      return
    }
  }
}

async function* piecesOf({ body }: Response): AsyncGenerator<string> {
  let rest = ''
  for await (const text of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const data = line.startsWith('data: {') ? parse(line.slice('data: '.length)) : undefined
      if (data?.error) throw new Error(`The provider stopped: ${wordsIn(data)}`)
      const piece = data?.choices?.[0]?.delta?.content
      if (typeof piece === 'string') yield piece
    }
  }
}

async function* wholeOf(response: Response): AsyncGenerator<string> {
  const type = response.headers.get('content-type') ?? ''
  if (!/json|^text\//.test(type)) {
    const { size } = await response.blob()
    yield `(${size} bytes of ${type || 'an unknown kind'})`
    return
  }
  const text = await response.text()
  const json = parse(text)
  const content = json?.choices?.[0]?.message?.content
  if (typeof content === 'string') yield content
  else yield (json === undefined ? text : JSON.stringify(json, undefined, 2)).slice(0, most)
}

async function refusalOf(response: Response): Promise<string> {
  const words = wordsIn(parse((await response.text()).slice(0, 10_000)))
  return `The provider answers ${response.status}${words ? `: ${words}` : '.'}`
}

type Json = {
  error?: { message?: unknown } | string
  choices?: { delta?: { content?: unknown }; message?: { content?: unknown } }[]
}

function wordsIn(json: Json | undefined): string {
  const words = typeof json?.error === 'object' ? json.error.message : json?.error
  return typeof words === 'string' ? words.slice(0, 500) : ''
}

function parse(text: string): Json | undefined {
  try {
    return (JSON.parse(text) ?? undefined) as Json | undefined
  } catch {
    return undefined
  }
}
