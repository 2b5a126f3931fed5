/** What a chat has cost: by the upstream's usage, and by its text while that isn't known. */
import { type MeteredEvent, Pricing, type Quote } from '@drain-protocol/sdk'
import type { JsonObject } from './body.ts'

/** The tokens that the upstream counted or, where it doesn't count, about as many as there were bytes for. */
export function usageOf({ usage }: JsonObject, outputBytes: number, quote: Quote.Quote): Pricing.Usage {
  const { prompt_tokens: inputTokens, completion_tokens: outputTokens } = (usage ?? {}) as JsonObject
  if (isCount(inputTokens) && isCount(outputTokens)) return { inputTokens, outputTokens }
  // The quote has a token for 3 bytes, English one for 4.
  return { inputTokens: Math.ceil((quote.inputTokens * 3) / 4), outputTokens: Math.ceil(outputBytes / 4) }
}

/**
 * The events of an upstream's stream, each with what all has cost so far. The last one has the usage, and the real cost. Those
 * before have less: a token for 8 characters of input, and one for each piece of text. What is charged once isn't given back.
 */
export async function* meterChat(
  { body }: Response,
  pricing: Pricing.Tokens,
  quote: Quote.Quote,
  inputLength: number,
): AsyncGenerator<MeteredEvent> {
  let [pieces, bytes] = [0, 0]
  let counted: JsonObject = { object: 'chat.completion.chunk' }
  for await (const data of dataOf(body)) {
    const chunk: JsonObject = JSON.parse(data)
    if (chunk.usage) counted = chunk
    const choices = Array.isArray(chunk.choices) ? chunk.choices : []
    if (choices.length === 0) continue
    const deltas = choices.map((choice) => choice?.delta?.content ?? choice?.delta?.tool_calls)
    const texts = deltas.filter((delta) => delta?.length > 0)
    pieces += texts.length
    bytes += texts.length > 0 ? Buffer.byteLength(JSON.stringify(texts)) - 4 : 0
    const usage = { inputTokens: Math.floor(inputLength / 8), outputTokens: pieces }
    yield { data, cost: Pricing.cost(pricing, usage) }
  }
  // Sent to all: clients that don't ask for the usage pass over a chunk without choices.
  const data = JSON.stringify({ ...counted, choices: [] })
  yield { data, cost: Pricing.cost(pricing, usageOf(counted, bytes, quote)) }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

/** The data of server-sent events, but for `[DONE]`. @throws {RangeError} On a line without an end. */
async function* dataOf(body: Response['body']): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const bytes of body ?? []) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split(/\r?\n/)
    rest = lines.pop() ?? ''
    if (rest.length > 1_048_576) throw new RangeError('a line without an end')
    for (const line of lines) {
      const data = line.startsWith('data:') ? line.slice(5).trim() : ''
      if (data !== '' && data !== '[DONE]') yield data
    }
  }
}
