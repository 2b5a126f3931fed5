import { InvalidRequestError } from '@drain-protocol/sdk'
import { describe, expect, it } from 'vitest'
import { parseChatRequest, UnknownModelError } from './ChatRequest.ts'
import { coveredPromptTokens, coveredTokens, promptTokens } from './metering.ts'
import { parseModels } from './models.ts'

const models = parseModels('drain-local', 0)
const messages = [{ role: 'user', content: 'Hello' }]
const parse = (body: unknown) => parseChatRequest(body, models)

describe('parseChatRequest', () => {
  it.each(['gpt-4o', 'constructor', '__proto__', 'toString', '', 7, null, undefined, ['drain-local']])(
    'does not know the model %j',
    (model) => {
      expect(() => parse({ model, messages })).toThrow(UnknownModelError)
    },
  )

  it.each([null, 1, 'text', [], true])('refuses the body %j', (body) => {
    expect(() => parse(body)).toThrow(InvalidRequestError)
  })

  it.each([
    {},
    { messages: [] },
    { messages: 'Hello' },
    { messages: [null] },
    { messages: [['user', 'Hello']] },
    { messages: [{ content: 'Hello' }] },
    { messages: [{ role: 'root', content: 'Hello' }] },
    { messages: [{ role: 'user', content: 7 }] },
    { messages: [{ role: 'user', content: { text: 'Hello' } }] },
    {
      messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://a.example' } }] }],
    },
    { messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: 'x' } }] }] },
    { messages: [{ role: 'user', content: [{ type: 'text' }] }] },
    { messages, max_tokens: 0 },
    { messages, max_tokens: '10' },
    { messages, max_tokens: 1e9 },
    { messages, n: 17 },
    { messages, n: 0.5 },
    { messages, stream: 'yes' },
    { messages, tools: {} },
    { messages, tools: [{ type: 'web_search' }] },
    { messages, functions: [{ name: 'f' }] },
    { messages, web_search_options: {} },
    { messages, prediction: { type: 'content', content: 'x' } },
    { messages, modalities: ['text', 'audio'] },
  ])('refuses %j', (body) => {
    expect(() => parse({ model: 'drain-local', ...body })).toThrow(InvalidRequestError)
  })

  it('refuses what is nested too deeply to be priced', () => {
    const deep = JSON.parse(`${'['.repeat(400_000)}${']'.repeat(400_000)}`)
    expect(() => parse({ model: 'drain-local', messages, tools: deep })).toThrow(InvalidRequestError)
  })

  it('passes on what is known and nothing else', () => {
    const request = parse({
      model: 'drain-local',
      messages: [{ role: 'user', content: 'Hello', audio: { id: 'x' } }],
      tools: [{ type: 'function', function: { name: 'f' }, surprise: 1 }],
      temperature: 0.5,
      service_tier: 'priority',
      store: true,
      n: 2,
    })
    expect(request).toMatchObject({ choices: 2, messages, parameters: { temperature: 0.5, n: 2 } })
    expect(Object.keys(request.parameters)).toEqual(['temperature', 'n'])
    expect(request.tools).toEqual([{ type: 'function', function: { name: 'f' } }])
  })
})

describe('coveredTokens', () => {
  it('is what was asked for when the prompt is ordinary text', async () => {
    const request = parse({ model: 'drain-local', messages, max_tokens: 50 })
    expect(coveredTokens(request, await promptTokens(request))).toBe(50)
  })

  it('is less when the prompt has more tokens than its bytes are quoted for', async () => {
    const dense = [{ role: 'user', content: '! ? ; : '.repeat(2_000) }]
    const request = parse({ model: 'drain-local', messages: dense, max_tokens: 2_000 })
    const inputTokens = await promptTokens(request)
    expect(inputTokens).toBeGreaterThan(request.quote.inputTokens)
    const covered = coveredTokens(request, inputTokens)
    // 0.0005 and 0.0015 USDC per 1,000 tokens.
    const budget = 5 * request.quote.inputTokens + 15 * 2_000
    expect(covered).toBeGreaterThan(0)
    expect(5 * inputTokens + 15 * covered).toBeLessThanOrEqual(budget + 10_000)
    expect(5 * inputTokens + 15 * (covered + 1)).toBeGreaterThan(budget)
  })

  it('is nothing when the prompt alone costs more than the quote', async () => {
    const dense = [{ role: 'user', content: '! ? ; : '.repeat(2_000) }]
    const request = parse({ model: 'drain-local', messages: dense, max_tokens: 1 })
    expect(coveredTokens(request, await promptTokens(request))).toBe(0)
  })

  it('counts a JSON schema as input, which the quote does not know', async () => {
    const schema = {
      type: 'json_schema',
      json_schema: { name: 'x', schema: { description: 'word '.repeat(500) } },
    }
    const plain = parse({ model: 'drain-local', messages })
    const structured = parse({ model: 'drain-local', messages, response_format: schema })
    expect(await promptTokens(structured)).toBeGreaterThan((await promptTokens(plain)) + 500)
  })

  it.each([
    [1, 1],
    [1, 3],
    [500, 1],
    [500, 16],
  ])('ends where coveredPromptTokens says: max_tokens %d, n %d', (max_tokens, n) => {
    const request = parse({ model: 'drain-local', messages, max_tokens, n })
    const most = coveredPromptTokens(request)
    expect(most).toBeGreaterThanOrEqual(request.quote.inputTokens)
    expect(coveredTokens(request, most)).toBeGreaterThan(0)
    expect(coveredTokens(request, most + 1)).toBe(0)
  })
})
