import type { MeteredEvent } from '@drain-protocol/sdk'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { parseChatRequest } from './ChatRequest.ts'
import { answer, quoteOf, type Till } from './chat.ts'
import { promptTokens } from './metering.ts'
import { parseModels } from './models.ts'
import { openAiUpstream } from './openai.ts'
import { countTokens } from './tokens.ts'
import type { JsonObject } from './upstream.ts'
import {
  chunk,
  sendEvents,
  startWireUpstream,
  type WireUpstream,
  writeEvents,
} from './wireUpstream.fixture.ts'

/** A base unit per token in, two per token out. */
const models = parseModels('some-model=0.001/0.002,thinker=0.001/0.002/reasoning', 0)
const messages = [{ role: 'user', content: 'What is the weather in Paris?' }]
const apiKey = 'sk-of-the-provider'

let upstream: WireUpstream
beforeEach(async () => {
  upstream = await startWireUpstream()
})
afterEach(() => upstream.close())

/** Asks the upstream as the chat route does, and collects what would be charged. */
async function ask(
  fields: JsonObject = {},
  options: { timeoutMs?: number; take?: number; abort?: AbortController } = {},
) {
  const request = parseChatRequest({ model: 'some-model', messages, max_tokens: 50, ...fields }, models)
  const client = openAiUpstream({ baseUrl: upstream.baseUrl, apiKey, timeoutMs: options.timeoutMs ?? 5_000 })
  const log = vi.fn<(message: string) => void>()
  const { abort = new AbortController() } = options
  const events: MeteredEvent[] = []
  let charged: bigint | undefined
  let failure: unknown
  let reading: Promise<void> | undefined
  const till: Till = {
    signal: abort.signal,
    charge: (cost) => {
      charged = cost
    },
    stream(stream) {
      reading = (async () => {
        for await (const event of stream) {
          events.push(event)
          charged = event.cost
          if (events.length === options.take) break
        }
      })().catch((error) => {
        failure = error
      })
      return new Response()
    },
  }
  const response = await answer(
    request,
    { models, upstreamOf: () => client, maxBodyBytes: 1_000_000, log },
    till,
  )
  await reading
  const body = reading ? undefined : ((await response.json()) as JsonObject)
  const chunks = events.map(({ data }) => JSON.parse(data) as JsonObject)
  const costs = events.map(({ cost }) => cost)
  const inputTokens = await promptTokens(request)
  return { request, status: response.status, body, chunks, costs, charged, failure, log, inputTokens }
}

const completion = (message: JsonObject, more: JsonObject = {}): JsonObject => ({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1_700_000_000,
  model: 'some-model-2024',
  choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason: 'stop' }],
  ...more,
})

const usage = (input: number, output: number) => ({
  usage: { prompt_tokens: input, completion_tokens: output, total_tokens: input + output },
})

const send = (value: unknown, status = 200) => {
  upstream.answer = (response) => {
    response.writeHead(status, { 'Content-Type': 'application/json' })
    response.end(JSON.stringify(value))
  }
}

const toolCalls = [
  { index: 0, id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Paris"}' } },
]

describe('a whole answer', () => {
  it('is passed on and charged by the upstream’s usage', async () => {
    const whole = completion({ content: 'Sunny.' }, usage(14, 3))
    send(whole)
    expect(await ask()).toMatchObject({ status: 200, body: whole, charged: 14n + 6n })
  })

  it('is counted where the upstream does not', async () => {
    send(completion({ content: 'Sunny, with some clouds.' }))
    const { body, charged, inputTokens } = await ask()
    const output = countTokens('Sunny, with some clouds.')
    expect(charged).toBe(BigInt(inputTokens + 2 * output))
    expect(body).toMatchObject(usage(inputTokens, output))
  })

  it.each([
    ['tool calls', { content: null, tool_calls: toolCalls }, ['weather', '{"city":"Paris"}']],
    ['reasoning', { content: 'Sunny.', reasoning_content: 'Paris, in May?' }, ['Sunny.', 'Paris, in May?']],
    ['a refusal', { content: null, refusal: 'I would rather not.' }, ['I would rather not.']],
  ])('counts %s as output', async (_, message, texts) => {
    const output = texts.reduce((sum, text) => sum + countTokens(text), 0)
    for (const reported of [{}, usage(14, 0), { usage: { prompt_tokens: -1, completion_tokens: 'many' } }]) {
      send(completion(message, reported))
      const { charged, inputTokens } = await ask()
      expect(charged).toBe(BigInt(inputTokens + 2 * output))
    }
  })

  it('never costs more than the quote', async () => {
    send(completion({ content: 'Sunny.' }, usage(100_000, 100_000)))
    const { charged, request } = await ask()
    expect(charged).toBe(request.quote.amount)
  })

  it('goes upstream with our key, the covered max_tokens and known parameters only', async () => {
    send(completion({ content: 'Sunny.' }, usage(14, 3)))
    const tools = [{ type: 'function', function: { name: 'weather', parameters: {} } }]
    await ask({ temperature: 0.1, tools, service_tier: 'priority', Authorization: 'x', max_tokens: 12 })
    const [{ path, headers, body } = { headers: {} }] = upstream.received
    expect(path).toBe('/v1/chat/completions')
    expect(headers.authorization).toBe(`Bearer ${apiKey}`)
    expect(body).toEqual({ model: 'some-model', messages, tools, temperature: 0.1, max_tokens: 12 })
  })

  it.each([401, 403, 404, 429, 500, 503])(
    'is a 502 and free when the upstream answers %d',
    async (status) => {
      send({ error: { message: `Incorrect API key ${apiKey}`, code: 'invalid_api_key' } }, status)
      const { body, charged, log, ...result } = await ask()
      expect(result.status).toBe(502)
      expect(charged).toBeUndefined()
      expect(body).toMatchObject({ error: { code: 'upstream_failed', type: 'api_error' } })
      expect(JSON.stringify(body)).not.toContain(apiKey)
      expect(log).toHaveBeenCalledWith(expect.stringContaining(`answered ${status}`))
    },
  )

  it('is a 400 with the upstream’s code when it finds the request invalid', async () => {
    send({ error: { message: `secret ${apiKey}`, code: 'context_length_exceeded' } }, 400)
    const { status, body, charged } = await ask()
    expect([status, charged]).toEqual([400, undefined])
    expect(body).toMatchObject({ error: { code: 'context_length_exceeded' } })
    expect(JSON.stringify(body)).not.toContain('secret')
  })

  it.each(['[]', '{}', '"text"', 'no JSON', '{"choices":[]}'])('is a 502 for %j', async (text) => {
    upstream.answer = (response) => void response.end(text)
    expect(await ask()).toMatchObject({ status: 502, charged: undefined })
  })

  it('is a 502 when nothing comes in time, and when the connection breaks', async () => {
    upstream.answer = () => {}
    expect((await ask({}, { timeoutMs: 50 })).status).toBe(502)
    await upstream.hungUp
    upstream.answer = (response) => void response.destroy()
    expect((await ask()).status).toBe(502)
  })

  it('is refused and free when the prompt has more tokens than are paid for', async () => {
    const dense = [{ role: 'user', content: '! ? ; : '.repeat(2_000) }]
    const { body, status, charged } = await ask({ messages: dense, max_tokens: 1 })
    expect([status, charged]).toEqual([400, undefined])
    expect(body).toMatchObject({ error: { code: 'prompt_not_covered' } })
    expect(upstream.received).toHaveLength(0)
  })

  it('takes the key to no other host', async () => {
    upstream.answer = (response) => {
      response.writeHead(307, { Location: `${upstream.baseUrl}/elsewhere` })
      response.end()
    }
    expect((await ask()).status).toBe(502)
    expect(upstream.received).toHaveLength(1)
  })
})

describe('a stream', () => {
  const words = ['Sunny', ', with', ' some', ' clouds', '.']
  const text = words.join('')
  const spoken = [chunk({ role: 'assistant', content: '' }), ...words.map((content) => chunk({ content }))]
  const end = chunk({}, 'stop')
  const usageChunk = (input: number, output: number) =>
    chunk({}, null, { choices: [], ...usage(input, output) })

  const stream = (events: (JsonObject | string)[], last: 'end' | 'break' | 'stall' = 'end') => {
    upstream.answer = (response) => {
      sendEvents(response, events)
      if (last === 'end') response.end()
      // Broken off once everything before has been flushed.
      if (last === 'break') response.write(': \n\n', () => setTimeout(() => response.destroy(), 20))
    }
  }

  it('costs what was sent so far, and in the end what the upstream counted', async () => {
    stream([...spoken, end, usageChunk(14, 9), '[DONE]'])
    const { chunks, costs, inputTokens } = await ask({ stream: true })
    expect(chunks).toEqual([...spoken, end])
    const soFar = spoken.map((_, index) =>
      BigInt(inputTokens + 2 * countTokens(words.slice(0, index).join(''))),
    )
    expect(costs).toEqual([...soFar, 14n + 18n])
    expect(upstream.received[0]?.body).toMatchObject({
      stream: true,
      stream_options: { include_usage: true },
    })
  })

  it('ends with the usage when the consumer asks for it', async () => {
    stream([...spoken, end, usageChunk(14, 9), '[DONE]'])
    const { chunks, costs } = await ask({ stream: true, stream_options: { include_usage: true } })
    expect(chunks.at(-1)).toMatchObject({ choices: [], ...usage(14, 9) })
    expect(costs.at(-1)).toBe(14n + 18n)
  })

  it('is counted where the upstream does not, to the same number as the whole text', async () => {
    stream([...spoken, end])
    const { chunks, charged, inputTokens } = await ask({
      stream: true,
      stream_options: { include_usage: true },
    })
    expect(charged).toBe(BigInt(inputTokens + 2 * countTokens(text)))
    expect(chunks.at(-1)).toMatchObject({ choices: [], ...usage(inputTokens, countTokens(text)) })
  })

  it('counts tool calls and reasoning that come in pieces', async () => {
    const call = (name: string | undefined, args: string) =>
      chunk({ tool_calls: [{ index: 0, function: { ...(name ? { name } : {}), arguments: args } }] })
    stream([
      chunk({ reasoning_content: 'Paris, ' }),
      chunk({ reasoning_content: 'in May?' }),
      call('weather', ''),
      call(undefined, '{"ci'),
      call(undefined, 'ty":"Paris"}'),
      chunk({}, 'tool_calls'),
    ])
    const { charged, inputTokens } = await ask({ stream: true })
    const output = ['Paris, in May?', 'weather', '{"city":"Paris"}'].reduce(
      (sum, one) => sum + countTokens(one),
      0,
    )
    expect(charged).toBe(BigInt(inputTokens + 2 * output))
  })

  it('is stopped when the upstream does not stop by itself', async () => {
    upstream.answer = async (response) => {
      response.on('error', () => {})
      sendEvents(response, [spoken[0] ?? ''])
      while (!response.destroyed) {
        response.write(`data: ${JSON.stringify(chunk({ content: ' on and on' }))}\n\n`)
        await new Promise(setImmediate)
      }
    }
    const { chunks, charged, request } = await ask({ stream: true, max_tokens: 40 })
    expect(chunks.at(-1)).toMatchObject({ choices: [{ index: 0, delta: {}, finish_reason: 'length' }] })
    expect(charged).toBe(request.quote.amount)
    expect(chunks.length).toBeLessThan(40)
    await upstream.hungUp
  })

  it.each([500, 401])('is a 502 and free when the upstream answers %d', async (status) => {
    send({ error: { message: 'no' } }, status)
    expect(await ask({ stream: true })).toMatchObject({ status: 502, charged: undefined, chunks: [] })
  })

  it.each([
    ['nothing', []],
    ['an error', [{ error: { message: 'overloaded' } }]],
    ['no JSON', ['{']],
  ])('is a 502 and free when the upstream sends %s', async (_, events) => {
    stream(events)
    expect(await ask({ stream: true })).toMatchObject({ status: 502, charged: undefined, chunks: [] })
  })

  it.each(['break', 'stall', 'end'] as const)(
    'costs what was sent when the upstream fails midway: %s',
    async (how) => {
      stream(spoken.slice(0, 3), how)
      const { status, chunks, charged, failure, inputTokens } = await ask(
        { stream: true },
        { timeoutMs: 500 },
      )
      expect(status).toBe(200)
      expect(chunks).toEqual(spoken.slice(0, 3))
      expect(charged).toBe(BigInt(inputTokens + 2 * countTokens('Sunny, with')))
      expect(failure).toMatchObject({
        name: 'UpstreamError',
        message: expect.not.stringContaining('127.0.0.1'),
      })
    },
  )

  it('is complete when only the usage fails to come', async () => {
    stream([...spoken, end], 'break')
    const { chunks, failure, charged, inputTokens } = await ask({ stream: true })
    expect(failure).toBeUndefined()
    expect(chunks).toEqual([...spoken, end])
    expect(charged).toBe(BigInt(inputTokens + 2 * countTokens(text)))
  })

  it('closes the upstream’s connection when the consumer leaves', async () => {
    stream(spoken, 'stall')
    const { charged, inputTokens } = await ask({ stream: true }, { take: 2 })
    expect(charged).toBe(BigInt(inputTokens + 2 * countTokens('Sunny')))
    await upstream.hungUp
  })

  it('of a model that reasons in secret is charged for the reasoning before anything is sent', async () => {
    stream([...spoken, end, usageChunk(14, 30), '[DONE]'])
    const { chunks, costs } = await ask({ stream: true, model: 'thinker' }, { take: 1 })
    expect(chunks).toEqual([spoken[0]])
    expect(costs).toEqual([14n + 60n])
  })

  describe('that nobody waits for any more before its first event', () => {
    /** Accepts the request, has the channel close, and answers only then. */
    const closeBefore = (events: (JsonObject | string)[], last: 'end' | 'stall') => {
      const abort = new AbortController()
      upstream.answer = async (response) => {
        response.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders()
        abort.abort()
        await new Promise((resolve) => setTimeout(resolve, 50))
        writeEvents(response, events)
        if (last === 'end') response.end()
      }
      return abort
    }

    it('costs the input and the reasoning up to where it is stopped', async () => {
      const abort = closeBefore([chunk({ reasoning_content: 'Paris, in May?' })], 'stall')
      const { status, body, charged, inputTokens } = await ask({ stream: true }, { abort })
      expect(status).toBe(410)
      expect(body).toMatchObject({ error: { code: 'channel_closing' } })
      expect(charged).toBe(BigInt(inputTokens + 2 * countTokens('Paris, in May?')))
      await upstream.hungUp
    })

    it('costs all of the reasoning that happens in secret: its upstream is read to the end', async () => {
      const abort = closeBefore([...spoken, end, usageChunk(14, 30), '[DONE]'], 'end')
      const { status, charged } = await ask({ stream: true, model: 'thinker' }, { abort })
      expect([status, charged]).toEqual([410, 14n + 60n])
    })

    it('costs the quote at most', async () => {
      const abort = closeBefore([...spoken, end, usageChunk(14, 10_000), '[DONE]'], 'end')
      const { charged, request } = await ask({ stream: true, model: 'thinker' }, { abort })
      expect(charged).toBe(request.quote.amount)
    })

    it('is free when the upstream fails, or was not asked yet', async () => {
      const failing = closeBefore([], 'end')
      expect(await ask({ stream: true }, { abort: failing })).toMatchObject({
        status: 502,
        charged: undefined,
      })
      const abort = new AbortController()
      abort.abort()
      expect(await ask({ stream: true }, { abort })).toMatchObject({ status: 410, charged: undefined })
      expect(upstream.received).toHaveLength(1)
    })
  })

  it('reads events cut anywhere, with carriage returns and comments', async () => {
    upstream.answer = async (response) => {
      const events = [...spoken, end]
        .map((event) => `: comment\r\ndata:${JSON.stringify(event)}\r\n\r\n`)
        .join('')
      const bytes = Buffer.from(`${events}data: [DONE]\r\n\r\n`)
      response.writeHead(200)
      for (let at = 0; at < bytes.length; at += 100) {
        response.write(bytes.subarray(at, at + 100))
        await new Promise(setImmediate)
      }
      response.end()
    }
    expect((await ask({ stream: true })).chunks).toEqual([...spoken, end])
  })
})

describe('a quote', () => {
  const parse = (fields: JsonObject) =>
    parseChatRequest({ model: 'some-model', messages, max_tokens: 1_000, ...fields }, models)

  it('is one amount for a whole answer, and for a stream whose reasoning is told last', () => {
    expect(quoteOf(parse({}))).toBe(parse({}).quote.amount)
    const thinking = parse({ model: 'thinker', stream: true })
    expect(quoteOf(thinking)).toBe(thinking.quote.amount)
  })

  it('begins with the input and a step of each answer for a stream', () => {
    const request = parse({ stream: true, n: 2 })
    const input = BigInt(request.quote.inputTokens)
    expect(quoteOf(request)).toEqual({
      most: input + 4_000n,
      first: input + 1_024n,
      step: 1_024n,
      tokens: 512,
    })
    const short = parse({ stream: true, max_tokens: 10 })
    expect(quoteOf(short)).toEqual({ most: input + 20n, first: input + 20n, step: 20n, tokens: 10 })
  })
})
