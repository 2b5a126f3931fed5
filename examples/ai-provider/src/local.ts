/** A small text generator, so that everything runs offline: chains of words from a few paragraphs. */
import type { ChatRequest } from './ChatRequest.ts'
import { corpus } from './corpus.ts'
import { promptTokens, toUsageJson } from './metering.ts'
import { countTokens } from './tokens.ts'
import type { JsonObject, Upstream } from './upstream.ts'

/** Words and marks, as they follow one another in the corpus. */
const words = corpus.match(/[A-Za-z]+|[.,]/g) ?? []
/** What follows each pair of words. */
const following = new Map<string, string[]>()
/** Pairs that begin a sentence. */
const beginnings: [string, string][] = []

for (const [index, next] of words.entries()) {
  const [first, second] = [words[index - 2] ?? '.', words[index - 1] ?? '.']
  const key = `${first} ${second}`
  following.set(key, [...(following.get(key) ?? []), next])
  const afterNext = words[index + 1]
  if (second === '.' && afterNext) beginnings.push([next, afterNext])
}

/** Each word goes out as one token. */
export const vocabulary: readonly string[] = [...new Set(words)]

/** Tokens sent in one chunk of a stream. */
const chunkTokens = 4
const shortest = 24
const longest = 96

type Answer = { text: string; finishReason: 'stop' | 'length'; tokens: number }

/** Answers from this process. The same seed and messages give the same text; without a seed the messages decide alone. */
export function localUpstream(): Upstream {
  return {
    async chat(request, maxTokens) {
      const answers = generateAll(request, maxTokens)
      const choices = answers.map(({ text, finishReason }, index) => ({
        index,
        message: { role: 'assistant', content: text, refusal: null },
        logprobs: null,
        finish_reason: finishReason,
      }))
      return { ...envelope(request, 'chat.completion'), choices, usage: await usageOf(request, answers) }
    },

    async *stream(request, maxTokens, signal) {
      const chunk = envelope(request, 'chat.completion.chunk')
      const answers = generateAll(request, maxTokens)
      const say = (index: number, delta: JsonObject, finishReason: string | null = null): JsonObject => ({
        ...chunk,
        choices: [{ index, delta, logprobs: null, finish_reason: finishReason }],
      })
      for (const [index, { text, finishReason }] of answers.entries()) {
        yield say(index, { role: 'assistant', content: '' })
        for (const content of pieces(text)) {
          signal.throwIfAborted()
          yield say(index, { content })
        }
        yield say(index, {}, finishReason)
      }
      yield { ...chunk, choices: [], usage: await usageOf(request, answers) }
    },
  }
}

function generateAll(request: ChatRequest, maxTokens: number): Answer[] {
  const { messages, parameters, choices } = request
  const key = JSON.stringify([parameters.seed ?? null, messages])
  const stops = [parameters.stop]
    .flat()
    .filter((stop): stop is string => typeof stop === 'string' && stop !== '')
  return Array.from({ length: choices }, (_, index) => generate(`${index} ${key}`, maxTokens, stops))
}

function generate(key: string, maxTokens: number, stops: string[]): Answer {
  const random = createRandom(key)
  const pick = <item>(items: readonly item[]): item => items[Math.floor(random() * items.length)] as item
  const wanted = shortest + Math.floor(random() * (longest - shortest))
  const said: string[] = [...pick(beginnings)]
  while (said.length < maxTokens && !(said.length >= wanted && said.at(-1) === '.')) {
    const next = following.get(`${said.at(-2)} ${said.at(-1)}`)
    if (next) said.push(pick(next))
    else said.push(...pick(beginnings))
  }
  const isShortened = said.length > maxTokens || said.at(-1) !== '.'
  const whole = said
    .slice(0, maxTokens)
    .join(' ')
    .replace(/ ([.,])/g, '$1')
  const text = whole.slice(
    0,
    Math.min(...stops.map((stop) => whole.indexOf(stop)).filter((at) => at >= 0), whole.length),
  )
  const isStopped = text.length < whole.length
  return { text, finishReason: isShortened && !isStopped ? 'length' : 'stop', tokens: countTokens(text) }
}

function pieces(text: string): string[] {
  const tokens = text.match(/ ?[A-Za-z]+|[.,]| /g) ?? []
  return Array.from({ length: Math.ceil(tokens.length / chunkTokens) }, (_, index) =>
    tokens.slice(index * chunkTokens, (index + 1) * chunkTokens).join(''),
  )
}

function envelope({ model, messages, parameters }: ChatRequest, object: string): JsonObject {
  const random = createRandom(JSON.stringify([parameters.seed ?? null, messages]))
  const id = Array.from({ length: 4 }, () =>
    Math.floor(random() * 36 ** 6)
      .toString(36)
      .padStart(6, '0'),
  ).join('')
  return { id: `chatcmpl-${id}`, object, created: Math.floor(Date.now() / 1_000), model: model.id }
}

async function usageOf(request: ChatRequest, answers: Answer[]): Promise<JsonObject> {
  const outputTokens = answers.reduce((sum, { tokens }) => sum + tokens, 0)
  return toUsageJson({ inputTokens: await promptTokens(request), outputTokens })
}

/** Numbers from 0 to 1 that depend on nothing but the key: FNV-1a into mulberry32. */
function createRandom(key: string): () => number {
  let state = 0x811c9dc5
  for (let index = 0; index < key.length; index++) {
    state = Math.imul(state ^ key.charCodeAt(index), 0x01000193)
  }
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
