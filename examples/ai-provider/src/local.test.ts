import { describe, expect, it } from 'vitest'
import { parseChatRequest } from './ChatRequest.ts'
import { localUpstream, vocabulary } from './local.ts'
import { parseModels } from './models.ts'
import { countTokens } from './tokens.ts'
import type { JsonObject } from './upstream.ts'

const models = parseModels('drain-local', 0)
const upstream = localUpstream()
const { signal } = new AbortController()

function request(fields: JsonObject = {}) {
  const messages = [{ role: 'user', content: 'What is a channel?' }]
  return parseChatRequest({ model: 'drain-local', messages, ...fields }, models)
}

type Choice = { message: { content: string }; delta: { content?: string }; finish_reason: string | null }

async function generate(fields: JsonObject = {}, maxTokens = 1_024) {
  const completion = await upstream.chat(request(fields), maxTokens, signal)
  const choices = completion.choices as Choice[]
  return {
    texts: choices.map((choice) => choice.message.content),
    reasons: choices.map((choice) => choice.finish_reason),
    usage: completion.usage as { prompt_tokens: number; completion_tokens: number },
  }
}

describe('localUpstream', () => {
  it('says the same for the same seed and messages, and something else otherwise', async () => {
    const { texts } = await generate({ seed: 7 })
    expect((await generate({ seed: 7 })).texts).toEqual(texts)
    expect((await generate({ seed: 8 })).texts).not.toEqual(texts)
    expect((await generate({ seed: 7, messages: [{ role: 'user', content: 'Why?' }] })).texts).not.toEqual(
      texts,
    )
    expect((await generate()).texts).toEqual((await generate()).texts)
  })

  it('gives several choices, each its own', async () => {
    const { texts, usage } = await generate({ n: 3 })
    expect(new Set(texts).size).toBe(3)
    expect(usage.completion_tokens).toBe(texts.reduce((sum, text) => sum + countTokens(text), 0))
  })

  it('knows only words of one token', () => {
    for (const word of vocabulary) {
      expect([word, countTokens(/[.,]/.test(word) ? word : ` ${word}`)]).toEqual([word, 1])
      if (/^[A-Z]/.test(word)) expect([word, countTokens(word)]).toEqual([word, 1])
    }
  })

  it('stops at max_tokens to the token', async () => {
    for (const maxTokens of [1, 2, 3, 10, 20]) {
      const { texts, reasons, usage } = await generate({ seed: maxTokens }, maxTokens)
      expect(usage.completion_tokens).toBe(maxTokens)
      expect(countTokens(texts[0] ?? '')).toBe(maxTokens)
      expect(reasons).toEqual(['length'])
    }
  })

  it('ends by itself at the end of a sentence', async () => {
    for (let seed = 0; seed < 200; seed++) {
      const { texts, reasons, usage } = await generate({ seed })
      expect(texts[0]).toMatch(/^[A-Z].*\.$/)
      expect(reasons).toEqual(['stop'])
      expect(usage.completion_tokens).toBe(countTokens(texts[0] ?? ''))
    }
  })

  it('ends before a stop sequence', async () => {
    const { texts } = await generate({ seed: 1 })
    const [before] = texts[0]?.split(' the ') ?? []
    expect(await generate({ seed: 1, stop: ['nowhere', ' the '] })).toMatchObject({
      texts: [before],
      reasons: ['stop'],
      usage: { completion_tokens: countTokens(before ?? '') },
    })
  })

  it('streams the same text in chunks and ends with the usage', async () => {
    const { texts, usage } = await generate({ seed: 3 })
    const chunks: JsonObject[] = []
    for await (const chunk of upstream.stream(request({ seed: 3 }), 1_024, signal)) chunks.push(chunk)
    const choices = chunks.flatMap((chunk) => chunk.choices as Choice[])
    expect(choices.map(({ delta }) => delta.content ?? '').join('')).toBe(texts[0])
    expect(choices.length).toBeGreaterThan(6)
    expect(choices.at(-1)?.finish_reason).toBe('stop')
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage })
  })

  it('answers a thousand requests in seconds', async () => {
    const started = performance.now()
    for (let seed = 0; seed < 1_000; seed++) await generate({ seed }, 64)
    expect(performance.now() - started).toBeLessThan(5_000)
  })
})
