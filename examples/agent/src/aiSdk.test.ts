/** The published AI SDK, unchanged, with a client's `fetch`: what it is answered, and that the money is exact. */
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { LimitExceededError } from '@drain-protocol/sdk'
import {
  APICallError,
  generateText,
  jsonSchema,
  type LanguageModel,
  type LanguageModelUsage,
  stepCountIs,
  streamText,
  tool,
} from 'ai'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { chunk, sendEvents } from '../../ai-provider/src/wireUpstream.fixture.ts'
import { type Payer, type Shop, startShop } from './shop.fixture.ts'

let shop: Shop
beforeAll(async () => {
  shop = await startShop()
})
afterAll(() => shop?.close())

let payer: Payer
beforeEach(async () => {
  payer = await shop.payer()
  shop.upstream.received.length = 0
})

const makers: [name: string, (payer: Payer, model: string) => LanguageModel][] = [
  [
    '@ai-sdk/openai',
    ({ client: { fetch } }, model) =>
      createOpenAI({ apiKey: 'unused', baseURL: `${shop.url}/v1`, fetch }).chat(model),
  ],
  [
    '@ai-sdk/openai-compatible',
    ({ client: { fetch } }, model) =>
      createOpenAICompatible({ name: 'shop', baseURL: `${shop.url}/v1`, fetch, includeUsage: true })(model),
  ],
]

/** What `drain-local` costs: 0.0006 and 0.0018 USDC per 1,000 tokens, in base units, rounded up. */
function priceOf({ inputTokens = 0, outputTokens = 0 }: Partial<LanguageModelUsage>) {
  return BigInt(Math.ceil((6 * inputTokens + 18 * outputTokens) / 10))
}

describe.each(makers)('%s', (_, modelOf) => {
  const ask = (model = 'drain-local') => ({
    model: modelOf(payer, model),
    prompt: 'What is a channel?',
    seed: 7,
    maxOutputTokens: 40,
  })

  it('generates text, for the price of its usage', async () => {
    const { text, usage } = await generateText(ask())
    expect(text).toMatch(/^[A-Z]/)
    expect(await payer.agreement()).toBe(priceOf(usage))
    expect(await payer.settle()).toBe(priceOf(usage))
  })

  it('streams the same text for the same price', async () => {
    const whole = await generateText(ask())
    const result = streamText(ask())
    let text = ''
    for await (const part of result.textStream) text += part
    expect(text).toBe(whole.text)
    expect(await result.usage).toMatchObject({ outputTokens: whole.usage.outputTokens })
    expect(await payer.agreement()).toBe(2n * priceOf(whole.usage))
    await payer.settle()
  })

  it('streams on while its voucher is raised', async () => {
    const words = Array.from({ length: 1_500 }, (_, index) => ` word${index % 10}`)
    shop.upstream.answer = (response) => {
      sendEvents(response, [
        ...words.map((content) => chunk({ content })),
        ...[chunk({}, 'stop'), chunk({}, null, { choices: [], usage: usage(20, 3_000) }), '[DONE]'],
      ])
      response.end()
    }
    const result = streamText({ ...ask('talker'), maxOutputTokens: 4_000 })
    expect(await result.text).toBe(words.join(''))
    // 0.0012 and 0.0024 USDC per 1,000 tokens.
    expect(await payer.agreement()).toBe(24n + 7_200n)
    await payer.settle()
  })

  it.each(['generateText', 'streamText'])('%s calls tools and goes on, each step paid for', async (name) => {
    shop.upstream.answer = (response, { messages, stream }) => {
      const isFirst = !JSON.stringify(messages).includes('"tool"')
      const told = isFirst ? usage(100, 20) : usage(120, 30)
      const content = isFirst ? null : 'It rains in Bern.'
      const tool_calls = isFirst ? [call('weather', '{"city":"Bern"}')] : undefined
      const reason = isFirst ? 'tool_calls' : 'stop'
      if (stream) {
        const delta = tool_calls
          ? { role: 'assistant', tool_calls: tool_calls.map((one) => ({ index: 0, ...one })) }
          : { role: 'assistant', content }
        sendEvents(response, [
          ...[chunk(delta), chunk({}, reason)],
          ...[chunk({}, null, { choices: [], usage: told }), '[DONE]'],
        ])
        response.end()
        return
      }
      const message = { role: 'assistant', content, tool_calls }
      const choices = [{ index: 0, message, finish_reason: reason }]
      response.end(JSON.stringify({ object: 'chat.completion', model: 'any', choices, usage: told }))
    }
    const asked: unknown[] = []
    const request = {
      ...ask('talker'),
      stopWhen: stepCountIs(3),
      tools: {
        weather: tool({
          description: 'The weather of a city.',
          inputSchema: jsonSchema<{ city: string }>({
            type: 'object',
            properties: { city: { type: 'string' } },
            required: ['city'],
          }),
          execute: async (input) => {
            asked.push(input)
            return 'rain'
          },
        }),
      },
    }
    const text = name === 'generateText' ? (await generateText(request)).text : await streamText(request).text
    expect(text).toBe('It rains in Bern.')
    expect(asked).toEqual([{ city: 'Bern' }])
    expect(await payer.agreement()).toBe(120n + 48n + 144n + 72n)
    await payer.settle()
  })

  it('20 of 20 at once are served, from the first on one channel', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, seed) => {
        if (seed % 2) return (await generateText({ ...ask(), seed })).text
        return streamText({ ...ask(), seed }).text
      }),
    )
    expect(answers.filter((text) => /^[A-Z]/.test(text))).toHaveLength(20)
    expect(await payer.client.channels()).toHaveLength(1)
    expect(await payer.agreement()).toBeGreaterThan(0n)
    await payer.settle()
  })

  it('a stream that is aborted is paid up to there', async () => {
    shop.upstream.answer = (response) => {
      sendEvents(response, [chunk({ content: 'I begin' })])
      const talking = setInterval(() => {
        response.write(`data: ${JSON.stringify(chunk({ content: ' and go on' }))}\n\n`)
      }, 2)
      response.on('close', () => clearInterval(talking))
    }
    const stop = new AbortController()
    const { textStream } = streamText({
      ...{ ...ask('talker'), maxOutputTokens: 4_000 },
      abortSignal: stop.signal,
      onError: () => {},
    })
    let text = ''
    for await (const part of textStream) {
      text += part
      if (text.length > 100) stop.abort()
    }
    const charged = await payer.charged()
    expect(charged).toBeGreaterThan(0n)
    expect(charged).toBeLessThan(9_600n)
    await generateText(ask())
    expect(await payer.agreement()).toBeGreaterThan(charged)
    await payer.settle()
  })

  it('an unknown model is a 404 and costs nothing', async () => {
    const refused = generateText(ask('nobody'))
    await expect(refused).rejects.toThrow(APICallError)
    await expect(refused).rejects.toMatchObject({ statusCode: 404, message: /is not served here/ })
    expect(await payer.client.channels()).toEqual([])
  })

  it('an upstream that fails is asked again by itself, and only the answer is paid', async () => {
    let failures = 1
    shop.upstream.answer = (response) => {
      if (failures-- > 0) {
        response.writeHead(500).end('{}')
        return
      }
      const choices = [{ index: 0, message: { role: 'assistant', content: 'Here.' }, finish_reason: 'stop' }]
      response.end(JSON.stringify({ object: 'chat.completion', model: 'any', choices, usage: usage(50, 10) }))
    }
    expect((await generateText(ask('talker'))).text).toBe('Here.')
    expect(shop.upstream.received).toHaveLength(2)
    expect(await payer.agreement()).toBe(60n + 24n)
    await payer.settle()
  })

  it('what is over a limit reaches the caller as it is, and nothing is opened', async () => {
    const poor = await shop.payer({ limits: { perRequest: '0.000001', perChannel: '1' } })
    const refused = generateText({ ...ask(), model: modelOf(poor, 'drain-local') })
    await expect(refused).rejects.toThrow(LimitExceededError)
    expect(await poor.client.channels()).toEqual([])
  })
})

function usage(prompt_tokens: number, completion_tokens: number) {
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
}

function call(name: string, args: string) {
  return { id: 'call_1', type: 'function', function: { name, arguments: args } }
}
