/** The published `openai` package, unchanged, with a client's `fetch`: what it is answered, and that the money is exact. */
import { LimitExceededError, PaymentUnknownError } from '@drain-protocol/sdk'
import OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { chunk, sendEvents } from '../../ai-provider/src/wireUpstream.fixture.ts'
import { type Payer, type Shop, startShop } from './shop.fixture.ts'

let shop: Shop
beforeAll(async () => {
  shop = await startShop()
})
afterAll(() => shop?.close())

let payer: Payer
let openai: OpenAI
beforeEach(async () => {
  payer = await shop.payer()
  openai = createOpenAi(payer)
  shop.upstream.received.length = 0
})

/** As its users make it: automatic retries and all. */
function createOpenAi({ client }: Payer): OpenAI {
  return new OpenAI({ apiKey: 'unused', baseURL: `${shop.url}/v1`, fetch: client.fetch })
}

const messages = [{ role: 'user' as const, content: 'What is a channel?' }]
const ask = { model: 'drain-local', messages, seed: 7, max_tokens: 40 }

/** What `drain-local` costs: 0.0006 and 0.0018 USDC per 1,000 tokens, in base units, rounded up. */
function priceOf({ prompt_tokens, completion_tokens }: OpenAI.CompletionUsage): bigint {
  return BigInt(Math.ceil((6 * prompt_tokens + 18 * completion_tokens) / 10))
}

describe('answers', () => {
  it('whole, for the price of their usage', async () => {
    const { choices, usage } = await openai.chat.completions.create(ask)
    expect(choices[0]?.message.content).toMatch(/^[A-Z]/)
    expect(await payer.agreement()).toBe(usage && priceOf(usage))
    expect(await payer.settle()).toBe(usage && priceOf(usage))
  })

  it('streamed, the same text for the same price', async () => {
    const whole = await openai.chat.completions.create(ask)
    const stream = await openai.chat.completions.create({
      ...ask,
      stream: true,
      stream_options: { include_usage: true },
    })
    let text = ''
    let usage: OpenAI.CompletionUsage | null | undefined
    for await (const { choices, usage: told } of stream) {
      text += choices[0]?.delta.content ?? ''
      usage = told ?? usage
    }
    expect(text).toBe(whole.choices[0]?.message.content)
    expect(usage).toEqual(whole.usage)
    expect(await payer.agreement()).toBe(whole.usage && 2n * priceOf(whole.usage))
    await payer.settle()
  })

  it('through the stream helper, with its final message', async () => {
    const stream = openai.chat.completions.stream(ask)
    expect(await stream.finalContent()).toMatch(/^[A-Z]/)
    expect(await payer.agreement()).toBeGreaterThan(0n)
    await payer.settle()
  })

  it('of a long stream, paid for in several steps', async () => {
    const words = Array.from({ length: 1_500 }, (_, index) => ` word${index % 10}`)
    shop.upstream.answer = (response) => {
      sendEvents(response, [
        ...words.map((content) => chunk({ content })),
        ...[chunk({}, 'stop'), chunk({}, null, { choices: [], usage: usage(20, 3_000) }), '[DONE]'],
      ])
      response.end()
    }
    const stream = await openai.chat.completions.create({
      ...{ model: 'talker', messages, max_tokens: 4_000, stream: true },
    })
    let text = ''
    for await (const { choices } of stream) text += choices[0]?.delta.content ?? ''
    expect(text).toBe(words.join(''))
    // 0.0012 and 0.0024 USDC per 1,000 tokens.
    expect(await payer.agreement()).toBe(24n + 7_200n)
    await payer.settle()
  })
})

describe('tools', () => {
  const tools = [
    {
      type: 'function' as const,
      function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
    },
  ]
  const request = { model: 'talker', messages, tools, max_tokens: 100 }

  it('are called in whole answers', async () => {
    shop.upstream.answer = (response) => {
      const message = { role: 'assistant', content: null, tool_calls: [call('weather', '{"city":"Bern"}')] }
      const choices = [{ index: 0, message, finish_reason: 'tool_calls' }]
      response.end(JSON.stringify({ object: 'chat.completion', choices, usage: usage(50, 10) }))
    }
    const { choices } = await openai.chat.completions.create(request)
    expect(choices[0]?.message.tool_calls).toMatchObject([{ function: { name: 'weather' } }])
    expect(shop.upstream.received[0]?.body.tools).toMatchObject(tools)
    expect(await payer.agreement()).toBe(60n + 24n)
    await payer.settle()
  })

  it('are run by the helper that runs them, each turn paid for', async () => {
    shop.upstream.answer = (response, body) => {
      const isFirst = !JSON.stringify(body.messages).includes('"tool"')
      sendEvents(
        response,
        isFirst
          ? [
              chunk({ role: 'assistant', tool_calls: [{ index: 0, ...call('weather', '{"city":') }] }),
              chunk({ tool_calls: [{ index: 0, function: { arguments: '"Bern"}' } }] }),
              ...[chunk({}, 'tool_calls'), chunk({}, null, { choices: [], usage: usage(100, 20) }), '[DONE]'],
            ]
          : [
              chunk({ role: 'assistant', content: 'It rains in Bern.' }),
              ...[chunk({}, 'stop'), chunk({}, null, { choices: [], usage: usage(120, 30) }), '[DONE]'],
            ],
      )
      response.end()
    }
    const asked: unknown[] = []
    const runner = openai.chat.completions.runTools({
      model: 'talker',
      messages,
      max_tokens: 100,
      stream: true,
      tools: [
        {
          type: 'function',
          function: {
            name: 'weather',
            description: 'The weather of a city.',
            parameters: { type: 'object', properties: { city: { type: 'string' } } },
            parse: (text: string): { city: string } => JSON.parse(text),
            function: (city: { city: string }) => {
              asked.push(city)
              return 'rain'
            },
          },
        },
      ],
    })
    expect(await runner.finalContent()).toBe('It rains in Bern.')
    expect(asked).toEqual([{ city: 'Bern' }])
    expect(await payer.agreement()).toBe(120n + 48n + 144n + 72n)
    await payer.settle()
  })
})

describe('many at once', () => {
  it('20 of 20 are served, from the first on one channel', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, seed) => openai.chat.completions.create({ ...ask, seed })),
    )
    const prices = answers.map(({ usage }) => (usage ? priceOf(usage) : 0n))
    expect(await payer.client.channels()).toHaveLength(1)
    expect(await payer.agreement()).toBe(prices.reduce((sum, price) => sum + price))
    await payer.settle()
  })

  it('20 streams and 20 whole answers together', async () => {
    const lengths = await Promise.all(
      Array.from({ length: 40 }, async (_, seed) => {
        if (seed % 2) return (await openai.chat.completions.create({ ...ask, seed })).choices.length
        let length = 0
        for await (const { choices } of await openai.chat.completions.create({
          ...ask,
          seed,
          stream: true,
        })) {
          length += choices[0]?.delta.content?.length ?? 0
        }
        return length
      }),
    )
    expect(lengths.filter((length) => length > 0)).toHaveLength(40)
    expect(await payer.client.channels()).toHaveLength(1)
    await payer.agreement()
    await payer.settle()
  })
})

describe('streams that the app leaves', () => {
  /** Sends words without an end, until the provider hangs up. */
  function talkOn(): void {
    shop.upstream.answer = (response) => {
      sendEvents(response, [chunk({ content: 'I begin' })])
      const talking = setInterval(() => {
        response.write(`data: ${JSON.stringify(chunk({ content: ' and go on' }))}\n\n`)
      }, 2)
      response.on('close', () => clearInterval(talking))
    }
  }
  const endless = { model: 'talker', messages, max_tokens: 4_000, stream: true as const }
  /** The most that such a request can cost. */
  const most = 9_600n

  it.each([
    ['break', (stream: AsyncIterable<unknown> & { controller: AbortController }) => void stream],
    [
      'abort()',
      (stream: AsyncIterable<unknown> & { controller: AbortController }) => stream.controller.abort(),
    ],
  ])('with %s are paid up to there', async (_, leave) => {
    talkOn()
    const stream = await openai.chat.completions.create(endless)
    let chunks = 0
    for await (const _chunk of stream) {
      if (++chunks < 5) continue
      leave(stream)
      break
    }
    const charged = await payer.charged()
    expect(charged).toBeGreaterThan(0n)
    expect(charged).toBeLessThan(most)
    // The next answer tells what the one that was left has cost.
    await openai.chat.completions.create(ask)
    expect(await payer.agreement()).toBeGreaterThan(charged)
    await payer.settle()
  })

  it.each([
    ['between two words', true],
    ['while it waits for a word', false],
  ])('%s are not taken for lost: an app may leave as many as it likes', async (_, goesOn) => {
    if (goesOn) talkOn()
    else shop.upstream.answer = (response) => sendEvents(response, [chunk({ content: 'I begin' }), chunk({})])
    const client = await shop.payer({
      limits: { perRequest: '0.05', perChannel: '1', undelivered: '0.0001' },
    })
    const restless = createOpenAi(client)
    for (let index = 0; index < 8; index++) {
      const stop = new AbortController()
      const stream = await restless.chat.completions.create(endless, { signal: stop.signal })
      for await (const { choices } of stream) {
        if (!choices[0]?.delta.content) continue
        if (goesOn) break
        setImmediate(() => stop.abort())
      }
      await client.charged()
    }
    await restless.chat.completions.create(ask)
    expect(await client.agreement()).toBeGreaterThan(200n)
    await client.settle()
  })

  it('close for what was charged, without another request', async () => {
    talkOn()
    const stop = new AbortController()
    const stream = await openai.chat.completions.create(endless, { signal: stop.signal })
    await expect(async () => {
      for await (const { choices } of stream) if (choices[0]?.delta.content?.includes('go on')) stop.abort()
    }).not.toThrow()
    const charged = await payer.settle()
    expect(charged).toBeGreaterThan(0n)
    expect(charged).toBeLessThan(most)
  })

  it('cost nothing when nothing was made for them', async () => {
    const asked = new Promise<() => void>((resolve) => {
      shop.upstream.answer = (response) => resolve(() => response.destroy())
    })
    await openai.chat.completions.create(ask)
    const before = await payer.agreement()
    const stop = new AbortController()
    const refused = openai.chat.completions.create(endless, { signal: stop.signal })
    const fail = await asked
    stop.abort()
    fail()
    await expect(refused).rejects.toThrow(OpenAI.APIUserAbortError)
    await openai.chat.completions.create(ask)
    expect(await payer.agreement()).toBe(2n * before)
    await payer.settle()
  })
})

describe('errors', () => {
  it('an unknown model is a 404 and opens no channel', async () => {
    const refused = openai.chat.completions.create({ ...ask, model: 'nobody' })
    await expect(refused).rejects.toThrow(OpenAI.NotFoundError)
    await expect(refused).rejects.toThrow(/"nobody" is not served here/)
    expect(await payer.client.channels()).toEqual([])
  })

  it('an unknown model or a wrong request on a channel costs nothing', async () => {
    await openai.chat.completions.create(ask)
    const before = await payer.agreement()
    await expect(openai.chat.completions.create({ ...ask, model: 'nobody' })).rejects.toThrow(
      OpenAI.NotFoundError,
    )
    await expect(openai.chat.completions.create({ ...ask, n: 99 })).rejects.toThrow(OpenAI.BadRequestError)
    expect(await payer.agreement()).toBe(before)
    expect(await payer.settle()).toBe(before)
  })

  it('what is over a limit is told as the cause, and nothing is opened', async () => {
    const poor = await shop.payer({ limits: { perRequest: '0.000001', perChannel: '1' } })
    const refused = await createOpenAi(poor)
      .chat.completions.create(ask)
      .catch((error) => error)
    expect(refused).toBeInstanceOf(OpenAI.APIConnectionError)
    expect(refused.cause).toBeInstanceOf(LimitExceededError)
    expect(await poor.client.channels()).toEqual([])
  })

  it('an upstream that fails is asked again by itself, and only the answer is paid', async () => {
    let failures = 2
    shop.upstream.answer = (response) => {
      if (failures-- > 0) {
        response.writeHead(500).end('{}')
        return
      }
      const choices = [{ index: 0, message: { role: 'assistant', content: 'Here.' }, finish_reason: 'stop' }]
      response.end(JSON.stringify({ object: 'chat.completion', choices, usage: usage(50, 10) }))
    }
    const { choices } = await openai.chat.completions.create({ model: 'talker', messages, max_tokens: 100 })
    expect(choices[0]?.message.content).toBe('Here.')
    expect(shop.upstream.received).toHaveLength(3)
    expect(await payer.agreement()).toBe(60n + 24n)
    await payer.settle()
  })
})

describe('an answer that is lost on the way', () => {
  /** Loses the first answers to requests that carry a payment, after the provider has given and charged them. */
  function losing(losses: number): Promise<Payer> {
    let left = losses
    return shop.payer({
      async fetch(input, init) {
        const response = await fetch(input, init)
        if (!new Headers(init?.headers).has('X-DRAIN-Voucher') || left-- <= 0) return response
        await response.arrayBuffer()
        throw new TypeError('fetch failed')
      },
    })
  }

  it('once is asked for again by the client, and paid once', async () => {
    const unlucky = await losing(1)
    const { usage } = await createOpenAi(unlucky).chat.completions.create(ask)
    expect(await unlucky.agreement()).toBe(usage && priceOf(usage))
    await unlucky.settle()
  })

  it('is told as such, so that an app without retries can decide', async () => {
    const unlucky = await losing(2)
    const refused = await createOpenAi(unlucky)
      .chat.completions.create(ask, { maxRetries: 0 })
      .catch((error) => error)
    expect(refused.cause).toBeInstanceOf(PaymentUnknownError)
    // The next answer tells what the lost one has cost.
    const { usage } = await createOpenAi(unlucky).chat.completions.create(ask)
    expect(await unlucky.agreement()).toBe(usage && 2n * priceOf(usage))
    await unlucky.settle()
  })

  it('twice is asked for again by the SDK, under the key that the app gave, and paid once', async () => {
    const unlucky = await losing(2)
    const headers = { 'Idempotency-Key': 'the question of today' }
    const { choices, usage } = await createOpenAi(unlucky).chat.completions.create(ask, { headers })
    expect(choices[0]?.message.content).toMatch(/^[A-Z]/)
    expect(await unlucky.agreement()).toBe(usage && priceOf(usage))
    await unlucky.settle()
  })
})

describe('free routes', () => {
  it('models pass without a payment', async () => {
    const models = await openai.models.list()
    expect(models.data.map(({ id }) => id)).toEqual(['drain-local', 'talker'])
    expect(await payer.client.channels()).toEqual([])
  })

  it('what this provider does not have passes as its 404', async () => {
    const refused = openai.embeddings.create({ model: 'any', input: 'text' })
    await expect(refused).rejects.toThrow(OpenAI.NotFoundError)
    expect(await payer.client.channels()).toEqual([])
  })
})

function usage(prompt_tokens: number, completion_tokens: number) {
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
}

function call(name: string, args: string) {
  return { id: 'call_1', type: 'function', function: { name, arguments: args } }
}
