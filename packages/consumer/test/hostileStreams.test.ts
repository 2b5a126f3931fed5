/** The client against providers that lie in streams. What counts is what was signed, and for what. */
import { Pricing, Quote, Usdc, Voucher, Headers as Wire } from '@drain/core'
import type { Hex } from 'viem'
import { beforeEach, expect, test } from 'vitest'
import type { DrainClient } from '../src/index.ts'
import { createClient, provider, setUp } from './fixture.ts'
import { serve } from './serve.ts'
import { model } from './TestProvider.ts'

setUp()

let client: DrainClient
beforeEach(() => {
  provider.pricing = {
    features: ['vouchers'],
    terms: { minDeposit: '0.1' },
    models: { small: Pricing.toJson(model) },
  }
  client = createClient()
})

const chat = {
  model: 'small',
  messages: [{ role: 'user', content: 'Talk.' }],
  max_tokens: 2_000,
  stream: true,
}
const price = Quote.inSteps(model, Quote.chat(model, chat))

const signed = async () => Usdc.parse((await client.spending()).signed)
const ask = (by: DrainClient = client) =>
  by.fetch(`${provider.origin}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(chat) })

/** The amounts of the vouchers that came while a stream ran. */
const raises = () =>
  provider.seen
    .filter(({ path }) => path === '/v1/vouchers')
    .map(({ body }) => Voucher.fromHeader(body).amount)

type Lies = {
  channelId: Hex
  send(text: string): void
  need(more?: Record<string, unknown>): void
  receipt(more?: Record<string, unknown>): void
  /** Resolves when so many vouchers came while streams ran. */
  raised(times: number): Promise<void>
  /** Whether the client hung up. */
  isLeft(): boolean
}

/** Streams what `tell` says in answer to every paid chat, and takes every voucher that follows. */
function stream(tell: (lies: Lies) => Promise<void>): void {
  provider.instead = (_, { path, voucher }) => {
    if (path === '/v1/vouchers') return Response.json({})
    if (path !== '/v1/chat/completions' || !voucher) return undefined
    const { channelId } = voucher
    const encoder = new TextEncoder()
    let isLeft = false
    const body = new ReadableStream<Uint8Array>({
      async start(controller) {
        const send = (text: string) => {
          if (!isLeft) controller.enqueue(encoder.encode(text))
        }
        const event = (name: string, data: unknown) =>
          send(`event: payment-${name}\ndata: ${JSON.stringify(data)}\n\n`)
        const lies: Lies = {
          channelId,
          send,
          need: (more = {}) =>
            event('need-voucher', {
              channelId,
              requiredCumulative: '4000000',
              acceptedCumulative: `${voucher.amount}`,
              deposit: '5000000',
              ...more,
            }),
          receipt: (more = {}) =>
            event('receipt', { channelId, cost: '100', total: '100', remaining: '0', ...more }),
          raised: (times) => expect.poll(() => raises().length).toBeGreaterThanOrEqual(times),
          isLeft: () => isLeft,
        }
        await tell(lies).then(
          () => isLeft || controller.close(),
          (error) => controller.error(error),
        )
      },
      cancel() {
        isLeft = true
      },
    })
    return new Response(body, { headers: { 'Content-Type': 'text/event-stream' } })
  }
}

const words = (bytes: number) => `data: ${'x'.repeat(Math.max(bytes - 8, 1))}\n\n`

test('asking for vouchers without content gets the first step, however often', async () => {
  stream(async ({ need, send }) => {
    for (let index = 0; index < 1_000; index++) need()
    send('data: [DONE]\n\n')
  })
  expect(await (await ask()).text()).toBe('data: [DONE]\n\n')
  expect(raises()).toEqual([])
  expect(await signed()).toBe(price.first)
})

test('a step is granted for a step that came, whatever is asked for', async () => {
  stream(async ({ need, raised, send }) => {
    send(words(price.tokens))
    for (let index = 0; index < 10; index++) need({ requiredCumulative: '5000000' })
    await raised(1)
    send('data: [DONE]\n\n')
  })
  await (await ask()).text()
  expect(raises()).toEqual([price.first + price.step])
  expect(await signed()).toBe(price.first + price.step)
})

test('an endless stream is paid up to the price of its request', async () => {
  stream(async ({ need, raised, send }) => {
    const steps = Number((price.most - price.first + price.step - 1n) / price.step)
    for (let step = 1; step <= steps; step++) {
      send(words(price.tokens))
      need()
      await raised(step)
    }
    for (let index = 0; index < 50; index++) {
      send(words(10 * price.tokens))
      need()
    }
  })
  await (await ask()).text()
  expect(raises().at(-1)).toBe(price.most)
  expect(await signed()).toBe(price.most)
})

test('a stream that never ends can be left, with no more paid than was granted for it', async () => {
  let isLeft = () => false
  stream(async (lies) => {
    isLeft = lies.isLeft
    while (!lies.isLeft()) {
      lies.need()
      lies.send(': waiting\n\n')
      await new Promise((resolve) => setImmediate(resolve))
    }
  })
  const reader = (await ask()).body?.getReader()
  await reader?.read()
  await reader?.cancel()
  await expect.poll(() => isLeft()).toBe(true)
  const before = await signed()
  expect(before).toBeLessThanOrEqual(price.most)
  await expect.poll(signed).toBe(before)
})

test.each([
  ['of another channel', { channelId: `0x${'11'.repeat(32)}` }],
  ['of no channel', { channelId: null }],
  ['of a channel by another name', { channelId: '0x12' }],
])('need-voucher events %s get nothing', async (_, more) => {
  stream(async ({ need, send }) => {
    send(words(4 * price.tokens))
    for (let index = 0; index < 10; index++) need(more)
    send('data: [DONE]\n\n')
  })
  await (await ask()).text()
  expect(await signed()).toBe(price.first)
})

test('what is no event of this protocol’s gets nothing', async () => {
  stream(async ({ send }) => {
    send(words(4 * price.tokens))
    send('event: payment-need-voucher\n\n')
    send('event: payment-need-voucher\ndata: {"channelId":\n\n')
    send('event: payment-need-voucher\ndata: null\n\n')
    send(`event: payment-need-voucher\ndata: ${'['.repeat(100_000)}\n\n`)
    send('event: payment-receipt\ndata: []\n\n')
    send('event: payment-receipt\ndata: {"cost":1,"total":1}\n\n')
    send('data: [DONE]\n\n')
  })
  await (await ask()).text()
  expect(await signed()).toBe(price.first)
})

test('after its receipt a stream gets nothing more', async () => {
  stream(async ({ need, receipt, send }) => {
    send(words(price.tokens))
    receipt({ cost: `${price.first}`, total: `${price.first}` })
    for (let index = 0; index < 20; index++) {
      send(words(price.tokens))
      need()
      receipt({ cost: '4000000', total: '4000000' })
    }
  })
  await (await ask()).text()
  expect(raises()).toEqual([])
  expect(await client.spending()).toMatchObject({
    signed: Usdc.format(price.first),
    charged: Usdc.format(price.first),
  })
})

test.each([
  ['far above what was granted', { cost: '4000000', total: '4000000' }],
  ['of a total that nothing explains', { cost: '100', total: '4999999' }],
  ['of a huge number', { cost: '9'.repeat(78), total: '9'.repeat(78) }],
])('a receipt %s is believed up to what was granted', async (_, more) => {
  stream(async ({ receipt, send }) => {
    send(words(10))
    receipt(more)
  })
  for (let index = 1n; index <= 4n; index++) {
    await (await ask()).text()
    expect(await signed()).toBeLessThanOrEqual(index * price.first)
    expect(Usdc.parse((await client.spending()).charged)).toBeLessThanOrEqual(index * price.first)
  }
})

test.each([
  ['negative', { cost: '-100', total: '-100' }],
  ['with a fraction', { cost: '0.5', total: '0.5' }],
  ['of numbers', { cost: 100, total: 100 }],
  ['in hexadecimal', { cost: '0x64', total: '0x64' }],
  ['of another channel', { channelId: `0x${'11'.repeat(32)}` }],
])('a receipt %s is none: what was granted may have been charged', async (_, more) => {
  stream(async ({ receipt, send }) => {
    send(words(10))
    receipt(more)
  })
  await (await ask()).text()
  expect(await client.spending()).toMatchObject({ signed: Usdc.format(price.first), charged: '0' })
})

test('a stream that stops is an error to its reader, and nothing is paid afterwards', async () => {
  stream(async ({ need, raised, send }) => {
    send(words(price.tokens))
    need()
    await raised(1)
    throw new Error('the provider is gone')
  })
  const response = await ask()
  await expect(response.text()).rejects.toThrow()
  const granted = price.first + price.step
  expect(await signed()).toBe(granted)
  // The next one is signed for on top of what was acknowledged: nothing was.
  stream(async ({ send }) => send(words(10)))
  await (await ask()).text()
  expect(provider.vouchers().at(-1)?.amount).toBe(price.first)
  expect(await signed()).toBe(granted)
})

test('streams that all stop earn no more than the limit for what was not delivered', async () => {
  client = createClient({ limits: { perRequest: '0.05', perChannel: '5', undelivered: '0.01' } })
  let claimed = 0n
  stream(async ({ need, send }) => {
    send(words(price.tokens))
    need()
    throw new Error('the provider is gone')
  })
  const { instead } = provider
  provider.instead = (request, seen) => {
    if (seen.path !== '/v1/chat/completions' || !seen.voucher) return instead(request, seen)
    // It says that all that it was ever granted was charged.
    if (seen.voucher.amount - claimed >= price.first) return instead(request, seen)
    const headers = {
      'X-DRAIN-Error': 'insufficient_funds',
      'X-DRAIN-Required': `${price.first}`,
      'X-Payment-Required': `${claimed + price.first}`,
    }
    return new Response('', { status: 402, headers })
  }
  const outcomes: unknown[] = []
  for (let index = 0; index < 20; index++) {
    outcomes.push(
      await ask().then(
        (response) => response.text().catch(() => 'stopped'),
        (error) => error.limit,
      ),
    )
    claimed = await signed()
  }
  expect(outcomes.at(-1)).toBe('undelivered')
  expect(await signed()).toBeLessThanOrEqual(Usdc.parse('0.01') + price.first + price.step)
})

test('a day’s limit holds in the middle of a stream', async () => {
  const perDay = price.first + price.step
  client = createClient({ limits: { perRequest: '0.05', perChannel: '5', perDay: Usdc.format(perDay) } })
  stream(async ({ need, raised, send }) => {
    send(words(price.tokens))
    need()
    await raised(1)
    for (let index = 0; index < 10; index++) {
      send(words(price.tokens))
      need()
    }
    send('data: [DONE]\n\n')
  })
  await (await ask()).text()
  expect(raises()).toEqual([perDay])
  expect(await signed()).toBe(perDay)
})

test.each([301, 302, 303, 307, 308])('vouchers of a stream follow no redirect (%i)', async (status) => {
  const seen: Request[] = []
  const stranger = await serve((request) => {
    seen.push(request)
    return new Response('thanks')
  })
  stream(async ({ need, raised, send }) => {
    send(words(price.tokens))
    need()
    await raised(1)
    send('data: [DONE]\n\n')
  })
  const { instead } = provider
  provider.instead = (request, about) =>
    about.path === '/v1/vouchers'
      ? new Response(null, { status, headers: { Location: `${stranger.origin}/v1/vouchers` } })
      : instead(request, about)
  await (await ask()).text()
  expect(seen).toEqual([])
  await stranger.close()
})

test('20 streams at once that ask for everything get what each of them is worth', async () => {
  stream(async ({ need, send }) => {
    for (let index = 0; index < 5; index++) {
      send(words(price.tokens))
      need()
    }
    send(words(price.tokens))
  })
  const bodies = await Promise.all(Array.from({ length: 20 }, async () => (await ask()).text()))
  expect(bodies.every((body) => body.length >= 6 * price.tokens)).toBe(true)
  expect(await signed()).toBeLessThanOrEqual(20n * price.most)
  expect(await client.channels()).toHaveLength(1)
})

test('a stream that claims to be given again costs no more than its price', async () => {
  provider.instead = (_, { path, voucher }) => {
    if (path !== '/v1/chat/completions' || !voucher) return undefined
    const { channelId } = voucher
    const headers = new Headers({ 'Idempotency-Replayed': 'true' })
    Wire.writeCosts(headers, { channelId, cost: 0n, total: 4_000_000n, remaining: 0n })
    return new Response('again', { headers })
  }
  for (let index = 1n; index <= 5n; index++) {
    await (await ask()).text()
    expect(await signed()).toBeLessThanOrEqual(index * price.first)
  }
})
