import { DrainError } from '@drain/core'
import type { Streams } from '@drain/keys/node'
import type { DrainClient } from '../client/createDrainClient.ts'
import { readJson, readObject } from '../client/readJson.ts'
import { createOutlet, send } from './send.ts'

export type ChatOptions = {
  /** A provider, its `/v1`, or the whole URL of its chat completions. */
  url: URL
  /** The first that the provider lists by default. */
  model: string | undefined
  message: string
  json: boolean
}

/** `drain chat`: one message to a provider that speaks as OpenAI does; the answer to `stdout` while it comes. */
export async function chatCommand(
  client: DrainClient,
  { url, model: named, message, json }: ChatOptions,
  { stdout, stderr }: Streams,
): Promise<void> {
  const base = url.pathname.replace(/\/chat\/completions\/?$/, '').replace(/\/$/, '') || '/v1'
  const model = named ?? (await firstModel(new URL(`${base}/models`, url)))
  const body = JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: message }] })
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body }
  const write = createOutlet(stdout)
  const { cost } = await send(client, new URL(`${base}/chat/completions`, url), init, async (response) => {
    if (!response.ok) throw await failure(response)
    for await (const text of answer(response)) await write(printable(text))
  })
  await write('\n')
  stderr.write(json ? `${JSON.stringify({ model, cost, currency: 'USDC' })}\n` : `${model}, ${cost} USDC\n`)
}

async function firstModel(url: URL): Promise<string> {
  const list = await fetch(url, { redirect: 'error' })
    .then(readJson)
    .catch(() => ({}) as Record<string, unknown>)
  const [first] = Array.isArray(list.data) ? list.data : []
  if (typeof first?.id === 'string') return first.id
  throw new DrainError('model_missing', `${url.origin} lists no models.`, { action: 'Name one: --model.' })
}

/** The text of an answer, streamed or not. */
async function* answer(response: Response): AsyncGenerator<string> {
  if (!response.headers.get('content-type')?.startsWith('text/event-stream')) {
    yield contentOf(await readObject(response), 'message')
    return
  }
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of response.body ?? []) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const data = /^data: ?(.*)/.exec(line)?.[1]
      if (data && data !== '[DONE]') yield contentOf(parse(data), 'delta')
    }
  }
}

function parse(data: string): unknown {
  try {
    return JSON.parse(data)
  } catch {
    return undefined
  }
}

function contentOf(body: unknown, part: 'delta' | 'message'): string {
  type Choice = Partial<Record<'delta' | 'message', { content?: unknown }>>
  const content = (body as { choices?: Choice[] } | undefined)?.choices?.[0]?.[part]?.content
  return typeof content === 'string' ? content : ''
}

async function failure(response: Response): Promise<DrainError> {
  const body = await readObject(response).catch(() => undefined)
  const { message } = (body?.error ?? {}) as { message?: unknown }
  const reason = typeof message === 'string' ? `: ${printable(message).slice(0, 500)}` : ''
  return new DrainError('provider_error', `The provider answers ${response.status}${reason}.`)
}

/** Without control characters, with which a provider could write anything on a terminal. */
function printable(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, '')
}
