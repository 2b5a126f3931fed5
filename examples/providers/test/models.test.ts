/** The providers in front of a language model, streaming and not. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Pricing, Usdc } from '@drain-protocol/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startExampleUpstream } from '../src/exampleUpstream.ts'
import { startLlmProxy } from '../src/llmProxy.ts'
import type { RunningProvider } from '../src/provider.ts'
import { startUpstreamModels } from '../src/upstreamModels.ts'
import {
  chargeOf,
  chatOf,
  examplesOf,
  expectRefused,
  expectRobust,
  type Kit,
  postOf,
  startKit,
} from './kit.ts'

let kit: Kit
let upstreamServer: Awaited<ReturnType<typeof startExampleUpstream>>
let proxy: RunningProvider
const prices = new Map([['parrot-small', Pricing.perToken({ inputPer1k: '0.01', outputPer1k: '0.02' })]])

beforeAll(async () => {
  kit = await startKit()
  upstreamServer = await startExampleUpstream()
  const upstream = { baseUrl: upstreamServer.baseUrl, apiKey: 'none' }
  proxy = await kit.start((options) => startLlmProxy({ ...options, upstream, prices }))
})
afterAll(async () => {
  await kit?.close()
  await upstreamServer?.close()
})

const chat = ({ url }: RunningProvider) => `${url}/v1/chat/completions`
/** The base URL of an upstream of the test's own. */
async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
}
function ended(server: Server): Promise<void> {
  server.closeAllConnections()
  return new Promise((resolve) => server.close(() => resolve()))
}
/** Of the content of all events. */
const textOf = (events: string) =>
  [...events.matchAll(/^data: (\{"id.*)$/gm)]
    .map(([, data]) => JSON.parse(data ?? '').choices[0]?.delta.content ?? '')
    .join('')

describe('LLM proxy', () => {
  it('answers the request of its docs, for the tokens that the upstream counted', async () => {
    const [example] = await examplesOf(proxy)
    let usage = { prompt_tokens: 0, completion_tokens: 0 }
    const charged = await chargeOf(kit, proxy, async () => {
      const response = await kit.client.fetch(chat(proxy), postOf(example?.request))
      const completion = await response.json()
      expect(completion.choices[0].message.content).toBe('You said: Hello')
      usage = completion.usage
    })
    expect(usage).toEqual({ prompt_tokens: 1, completion_tokens: 3 })
    expect(charged).toBe(1n * 10n + 3n * 20n)
  })

  it.each(['One two three', 'word '.repeat(700)])('streams, for the same', async (content) => {
    const charged = await chargeOf(kit, proxy, async () => {
      const request = chatOf('parrot-small', content, { stream: true, max_tokens: 1_000 })
      const text = await (await kit.client.fetch(chat(proxy), request)).text()
      expect(textOf(text)).toBe(`You said: ${content}`)
      expect(text.slice(-30)).toMatch(/data: \[DONE\]\n\n$/)
    })
    const tokens = `You said: ${content}`.split(/(?=\s)/).length
    expect(charged).toBe(BigInt(content.split(/\s+/).length) * 10n + BigInt(tokens) * 20n)
  })

  it('takes messages in parts, as long as they are text', async () => {
    const content = [
      { type: 'text', text: 'One ' },
      { type: 'text', text: 'two' },
    ]
    const request = postOf({ model: 'parrot-small', messages: [{ role: 'user', content }] })
    const { choices } = await (await kit.client.fetch(chat(proxy), request)).json()
    expect(choices[0].message.content).toBe('You said: One two')
  })

  it('stops at max_tokens, which bounds the price', async () => {
    const charged = await chargeOf(kit, proxy, async () => {
      const response = await kit.client.fetch(chat(proxy), chatOf('parrot-small', 'a b c', { max_tokens: 2 }))
      expect((await response.json()).choices[0].message.content).toBe('You said:')
    })
    expect(charged).toBe(3n * 10n + 2n * 20n)
  })

  it('charges a stream that is left for what was sent, and leaves the upstream', async () => {
    let isLeft = false
    const endless = createServer((_, res) => {
      res.on('close', () => {
        isLeft = true
      })
      for (const content of ['One', ' two', ' three'])
        res.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`)
    })
    const baseUrl = await listening(endless)
    const provider = await kit.start((options) =>
      startLlmProxy({ ...options, upstream: { baseUrl, apiKey: 'none' }, prices }),
    )
    const request = chatOf('parrot-small', 'Sixteen letters.', { stream: true, max_tokens: 1_000 })
    const response = await kit.client.fetch(chat(provider), request)
    let text = ''
    for await (const bytes of response.body ?? []) {
      text += new TextDecoder().decode(bytes)
      if (text.includes(' three')) break
    }
    await expect.poll(() => isLeft).toBe(true)
    const [channel] = (await kit.client.channels()).filter(({ origin }) => origin === provider.url)
    const closed = await kit.client.close(channel?.channelId ?? '0x')
    // Two tokens of input at least, and three pieces of text.
    expect(Usdc.parse(closed.finalAmount)).toBe(2n * 10n + 3n * 20n)
    await ended(endless)
  })

  it('refuses for nothing what it does not sell or understand', async () => {
    await expectRobust(proxy)
    const wrong = [{ max_tokens: 0 }, { max_tokens: 1e99 }, { max_tokens: 'many' }, { n: -1 }]
    for (const part of wrong) await expectRefused(chat(proxy), chatOf('parrot-small', 'x', part), 400)
    const image = [{ type: 'image_url', image_url: { url: 'https://example.com/large.png' } }]
    const messages = [{ role: 'user', content: image }]
    await expectRefused(chat(proxy), postOf({ model: 'parrot-small', messages }), 400)
    await expectRefused(chat(proxy), chatOf('parrot-large', 'x'), 404)
  })

  it.each([
    [400, 400, 'invalid_request'],
    [401, 502, 'upstream_failed'],
    [500, 502, 'upstream_failed'],
    [200, 500, 'internal_error'],
  ])(
    'charges nothing when the upstream answers %d, and tells nobody its words',
    async (given, status, code) => {
      const failing = createServer((_, res) => res.writeHead(given).end('the key sk-123 is not valid'))
      await new Promise<void>((resolve) => failing.listen(0, '127.0.0.1', resolve))
      const baseUrl = `http://127.0.0.1:${(failing.address() as AddressInfo).port}/v1`
      const [{ account }] = [{ account: kit.chain.accounts[9] }]
      if (!account) throw new Error('There is no such account.')
      const provider = await kit.start((options) =>
        startLlmProxy({ ...options, upstream: { baseUrl, apiKey: 'sk-123' }, prices }),
      )
      const charged = await chargeOf(kit, provider, async () => {
        const response = await kit.client.fetch(chat(provider), chatOf('parrot-small', 'Hello'))
        const text = await response.text()
        expect(text).not.toContain('sk-')
        expect([response.status, JSON.parse(text).error.code]).toEqual([status, code])
      })
      expect(charged).toBe(0n)
      failing.closeAllConnections()
      await new Promise((resolve) => failing.close(resolve))
    },
  )
})

describe('model list from upstream', () => {
  const pricingOf = async (provider: RunningProvider) =>
    (await (await fetch(`${provider.url}/v1/pricing`)).json()).models

  it('sells what the upstream lists now, with a margin, and keeps the last list when that fails', async () => {
    const server = await startExampleUpstream()
    const upstream = { baseUrl: server.baseUrl, apiKey: 'none' }
    const provider = await kit.start((options) => startUpstreamModels({ ...options, upstream }))
    const { 'parrot-large': large } = await pricingOf(provider)
    expect(large).toMatchObject({ inputPer1kTokens: '0.012', outputPer1kTokens: '0.024' })

    const paid = await chargeOf(kit, provider, async () => {
      const [example] = await examplesOf(provider)
      const response = await kit.client.fetch(chat(provider), postOf(example?.request))
      expect((await response.json()).model).toBe('parrot-small')
    })
    // 1.2 and 2.4 base units a token, rounded up once.
    expect(paid).toBe(BigInt(Math.ceil(1 * 1.2 + 3 * 2.4)))

    const strange = [
      null,
      'x',
      { id: 'free', pricing: { prompt: '0', completion: '0' } },
      { id: 5, pricing: {} },
    ]
    const dearer = { id: 'parrot-new', pricing: { prompt: '0.00002', completion: '0.00004' } }
    const auto = { id: 'auto', pricing: { prompt: '-1', completion: '-1' } }
    server.models.splice(0, 2, ...(strange as never[]), auto, dearer)
    await provider.refresh()
    expect(Object.keys(await pricingOf(provider))).toEqual(['parrot-new'])
    const { data } = await (await fetch(`${provider.url}/v1/models`)).json()
    expect(data).toMatchObject([{ id: 'parrot-new', object: 'model' }])
    await expectRefused(chat(provider), chatOf('parrot-large', 'x'), 404)

    const now = await chargeOf(kit, provider, async () => {
      const response = await kit.client.fetch(
        chat(provider),
        chatOf('parrot-new', 'Hello', { max_tokens: 1 }),
      )
      expect(response.status).toBe(200)
    })
    expect(now).toBe(24n + 48n)

    server.models.splice(0)
    await provider.refresh()
    expect(Object.keys(await pricingOf(provider))).toEqual(['parrot-new'])
    await server.close()
    await provider.refresh()
    expect(Object.keys(await pricingOf(provider))).toEqual(['parrot-new'])
  })

  it('does not start with nothing to sell', async () => {
    const upstream = { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'none' }
    await expect(kit.start((options) => startUpstreamModels({ ...options, upstream }))).rejects.toThrow()
  })
})
