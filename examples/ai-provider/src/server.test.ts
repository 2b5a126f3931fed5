import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { createDrainClient, createDrainConsumer, Usdc, Voucher } from '@drain-protocol/sdk'
import OpenAI from 'openai'
import { toHex } from 'viem'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { readConfig } from './config.ts'
import { type RunningServer, startServer } from './server.ts'
import { chunk, sendEvents, startWireUpstream, writeEvents } from './wireUpstream.fixture.ts'

let chain: LocalChain
let folder: string
let server: RunningServer
const log = vi.fn<(message: string) => void>()

beforeAll(async () => {
  chain = await startLocalChain()
  folder = await mkdtemp(join(tmpdir(), 'ai-provider-'))
  server = await startServer(readConfig(environment()), log)
})
afterAll(async () => {
  await server?.close()
  await chain?.close()
  await rm(folder, { recursive: true, force: true })
})

function environment(more: Record<string, string> = {}) {
  const { contract, token } = chain.deployment
  return {
    PROVIDER_PRIVATE_KEY: toHex(chain.accounts[1].getHdKey().privateKey ?? 0),
    CHAIN_ID: '31337',
    RPC_URL: chain.rpcUrl,
    CONTRACT_ADDRESS: contract,
    USDC_ADDRESS: token,
    PORT: '0',
    DATABASE: join(folder, 'drain.db'),
    FREE_ROUTE: '1',
    ...more,
  }
}

function createClient() {
  const { deployment, rpcUrl, accounts } = chain
  return createDrainClient({
    account: accounts[0],
    deployment,
    rpcUrl,
    limits: { perRequest: '0.05', perChannel: '1' },
  })
}

const messages = [{ role: 'user' as const, content: 'What is a channel?' }]
const ask = { model: 'drain-local', messages, seed: 7, max_tokens: 40 }

const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })

describe('paid by the OpenAI SDK', () => {
  it('answers whole and streamed, and settles what was used', async () => {
    const client = createClient()
    const openai = new OpenAI({ apiKey: 'unused', baseURL: `${server.url}/v1`, fetch: client.fetch })

    const whole = await openai.chat.completions.create(ask)
    const text = whole.choices[0]?.message.content
    expect(text).toMatch(/^[A-Z]/)
    expect(whole.usage).toMatchObject({ completion_tokens: 40 })
    const price = Usdc.parse((await client.spending()).charged)
    // 0.0006 and 0.0018 USDC per 1,000 tokens, rounded up.
    expect(price).toBe(BigInt(Math.ceil(0.6 * (whole.usage?.prompt_tokens ?? 0) + 1.8 * 40)))

    const stream = await openai.chat.completions.create({
      ...ask,
      stream: true,
      stream_options: { include_usage: true },
    })
    let streamed = ''
    let usage: OpenAI.CompletionUsage | null | undefined
    for await (const chunk of stream) {
      streamed += chunk.choices[0]?.delta.content ?? ''
      usage = chunk.usage ?? usage
    }
    expect(streamed).toBe(text)
    expect(usage).toEqual(whole.usage)
    expect(Usdc.parse((await client.spending()).charged)).toBe(2n * price)

    const [closed] = await client.closeAll()
    expect(closed && Usdc.parse(closed.finalAmount)).toBe(2n * price)
  })

  it('charges a stream that the consumer leaves for what was sent', async () => {
    const client = createClient()
    const openai = new OpenAI({ apiKey: 'unused', baseURL: `${server.url}/v1`, fetch: client.fetch })
    const stream = await openai.chat.completions.create({ ...ask, n: 16, max_tokens: 90, stream: true })
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break
    const [closed] = await client.closeAll()
    const charged = closed ? Usdc.parse(closed.finalAmount) : 0n
    expect(charged).toBeGreaterThan(0n)
    expect(charged).toBeLessThan(16n * 90n * 2n)
  })
})

describe('paid by hand', () => {
  /** An open channel, and a header with a voucher for an amount in base units. */
  async function openChannel() {
    const { deployment, rpcUrl, accounts, chainId } = chain
    const { contract: contractAddress, token: usdcAddress } = deployment
    const consumer = createDrainConsumer(chain.walletClient(accounts[0]), accounts[0], {
      ...{ chainId, rpcUrl, contractAddress, usdcAddress },
    })
    await consumer.approveUsdc('1')
    const { channelId } = await consumer.openChannel({
      ...{ provider: accounts[1].address, amount: '1', duration: '24h' },
    })
    return async (amount: bigint) => ({
      'X-DRAIN-Voucher': Voucher.toHeader(await consumer.signVoucher(channelId, Usdc.format(amount))),
    })
  }
  const textOf = (events: string) =>
    [...events.matchAll(/^data: (\{"id.*)$/gm)]
      .map(([, data]) => JSON.parse(data ?? '').choices[0]?.delta.content ?? '')
      .join('')

  it('streams for a voucher of the first step, and goes on with more', async () => {
    const upstream = await startWireUpstream()
    const provider = await startServer(
      readConfig(
        environment({
          DATABASE: join(folder, 'steps.db'),
          OPENAI_BASE_URL: upstream.baseUrl,
          OPENAI_API_KEY: 'any',
          MODELS: 'talker=0.001/0.002',
          MARGIN_PERCENT: '0',
        }),
      ),
      log,
    )
    try {
      const words = Array.from({ length: 600 }, (_, index) => ` word${index % 10}`)
      const usage = { prompt_tokens: 20, completion_tokens: 1_200 }
      upstream.answer = (response) => {
        sendEvents(response, [
          ...words.map((content) => chunk({ content })),
          ...[chunk({}, 'stop'), chunk({}, null, { choices: [], usage }), '[DONE]'],
        ])
        response.end()
      }
      const voucher = await openChannel()
      const send = (path: string, body: string, headers: Record<string, string>) =>
        fetch(`${provider.url}${path}`, { method: 'POST', headers, body })
      const body = JSON.stringify({ model: 'talker', messages, max_tokens: 2_000, stream: true })
      const quote = BigInt(
        (await send('/v1/chat/completions', body, {})).headers.get('X-DRAIN-Required') ?? 0,
      )
      let signed = quote - 2n * (2_000n - 256n)
      const response = await send('/v1/chat/completions', body, await voucher(signed))
      const decoder = new TextDecoder()
      const asked: bigint[] = []
      let text = ''
      for await (const bytes of response.body ?? []) {
        const part = decoder.decode(bytes, { stream: true })
        text += part
        const [, need] = /payment-need-voucher\ndata: (.*)\n\n/.exec(part) ?? []
        if (!need) continue
        signed = BigInt(JSON.parse(need).requiredCumulative)
        asked.push(signed)
        expect((await send('/v1/vouchers', '', await voucher(signed))).status).toBe(200)
      }
      const receipt = JSON.parse(/payment-receipt\ndata: (.*)/.exec(text)?.[1] ?? '')
      expect(receipt).toMatchObject({ cost: '2420', ended: 'complete' })
      expect(textOf(text)).toBe(words.join(''))
      expect(asked.length).toBeGreaterThanOrEqual(1)
      expect(asked.every((amount) => amount <= quote)).toBe(true)
    } finally {
      await provider.close()
      await upstream.close()
    }
  })

  it.each([false, true])('gives a lost answer again for nothing (streamed: %s)', async (stream) => {
    const voucher = await openChannel()
    const headers = { ...(await voucher(5_000n)), 'Idempotency-Key': 'lost' }
    const first = await post('/v1/chat/completions', { ...ask, stream }, headers)
    const answer = await first.text()
    const again = await post('/v1/chat/completions', { ...ask, stream }, headers)
    expect(again.headers.get('Idempotency-Replayed')).toBe('true')
    expect(again.headers.get('X-DRAIN-Cost')).toBe('0')
    const repeated = await again.text()
    if (stream) expect(textOf(repeated)).toBe(textOf(answer))
    else expect(repeated).toBe(answer)
    expect((await post('/v1/chat/completions', { ...ask, seed: 8, stream }, headers)).status).toBe(422)
  })
})

describe('reasoning in secret that the consumer does not wait for', () => {
  const usage = { prompt_tokens: 10, completion_tokens: 30 }
  const events = [
    chunk({ content: 'Yes.' }),
    chunk({}, 'stop'),
    chunk({}, null, { choices: [], usage }),
    '[DONE]',
  ]

  const adminToken = 'a token of the operator'

  it.each(['closes the channel', 'hangs up'])('is charged when it %s', async (how) => {
    const upstream = await startWireUpstream()
    const provider = await startServer(
      readConfig(
        environment({
          DATABASE: join(folder, `${how}.db`),
          OPENAI_BASE_URL: upstream.baseUrl,
          OPENAI_API_KEY: 'any',
          MODELS: 'thinker=0.001/0.002/reasoning',
          MARGIN_PERCENT: '0',
          ADMIN_TOKEN: adminToken,
        }),
      ),
      log,
    )
    /** Resolves once the upstream has accepted the request, to what ends its reasoning. */
    const reasoning = new Promise<() => void>((resolve) => {
      upstream.answer = (response) => {
        response.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders()
        resolve(() => {
          writeEvents(response, events)
          response.end()
        })
      }
    })
    try {
      const client = createClient()
      const leave = new AbortController()
      const answer = client
        .fetch(`${provider.url}/v1/chat/completions`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ model: 'thinker', messages, max_tokens: 100, stream: true }),
          signal: leave.signal,
        })
        .then(({ status }) => status)
        .catch(() => 'left')
      const finish = await reasoning
      if (how === 'hangs up') leave.abort()
      const closing = client.closeAll()
      const Authorization = `Bearer ${adminToken}`
      await vi.waitFor(async () => {
        const stats = await fetch(`${provider.url}/v1/admin/stats`, { headers: { Authorization } })
        expect(await stats.json()).toMatchObject({ closing: 1 })
      })
      finish()
      const [closed] = await closing
      expect(closed && Usdc.parse(closed.finalAmount)).toBe(10n + 60n)
      expect(await answer).toBe(how === 'hangs up' ? 'left' : 410)
    } finally {
      await provider.close()
      await upstream.close()
    }
  })
})

describe('unpaid', () => {
  it('is quoted by a 402', async () => {
    const response = await post('/v1/chat/completions', ask)
    expect(response.status).toBe(402)
    const bytes = Buffer.byteLength(JSON.stringify(messages))
    expect(response.headers.get('X-DRAIN-Required')).toBe(
      String(Math.ceil(0.6 * Math.ceil(bytes / 3) + 1.8 * 40)),
    )
    expect(response.headers.get('X-Payment-Contract')).toBe(chain.deployment.contract)
  })

  it.each([
    [400, ''],
    [400, '{'],
    [400, '[]'],
    [400, { model: 'drain-local' }],
    [400, { ...ask, messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }],
    [404, { ...ask, model: 'constructor' }],
    [404, { ...ask, model: '__proto__' }],
    [413, `"${'x'.repeat(2 ** 18)}"`],
  ])('is refused with %d when it is malformed', async (status, body) => {
    const response = await post('/v1/chat/completions', body)
    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({ error: { type: 'invalid_request_error' } })
    expect(response.headers.get('Access-Control-Allow-Origin')).toBe('*')
  })

  it('has 405 for other methods, 404 for other paths, and answers preflights', async () => {
    for (const method of ['GET', 'PUT', 'DELETE', 'OPTIONS']) {
      const response = await fetch(`${server.url}/v1/chat/completions`, { method })
      expect([method, response.status]).toEqual([method, 405])
    }
    const nowhere = await fetch(`${server.url}/nowhere`)
    expect(nowhere.status).toBe(404)
    expect(await nowhere.json()).toMatchObject({ error: { code: 'not_found' } })
    const preflight = await fetch(`${server.url}/v1/chat/completions`, {
      method: 'OPTIONS',
      headers: { Origin: 'https://a.example', 'Access-Control-Request-Method': 'POST' },
    })
    expect(preflight.status).toBe(204)
  })

  it('lists prices with the margin, and says how to use it', async () => {
    const pricing = await (await fetch(`${server.url}/v1/pricing`)).json()
    expect(pricing.models).toMatchObject({
      'drain-local': { inputPer1kTokens: '0.0006', outputPer1kTokens: '0.0018' },
    })
    expect(await (await fetch(`${server.url}/v1/docs`)).text()).toContain('POST /v1/chat/completions')
  })

  it('survives what is no HTTP', async () => {
    const port = Number(new URL(server.url).port)
    for (const text of [
      'GET / HTTP/1.1\r\n\r\n',
      'GET http://[ HTTP/1.1\r\nHost: a b\r\n\r\n',
      'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{',
      'POST //%zz?\\ HTTP/1.1\r\nHost: :::\r\nContent-Length: -1\r\n\r\n',
      '\0\0\0',
    ]) {
      await new Promise<void>((resolve) => {
        const socket = connect(port, '127.0.0.1', () => socket.end(text))
        socket
          .on('error', () => resolve())
          .on('close', () => resolve())
          .resume()
      })
    }
    expect((await fetch(`${server.url}/health`)).status).toBe(200)
  })
})

describe('the free route', () => {
  it('does the same work for nothing', async () => {
    const whole = await (await post('/free/v1/chat/completions', ask)).json()
    expect(whole.choices[0].finish_reason).toBe('length')
    const events = (await (await post('/free/v1/chat/completions', { ...ask, stream: true })).text()).split(
      '\n\n',
    )
    expect(events.at(-2)).toBe('data: [DONE]')
    const text = events.slice(0, -2).map((event) => JSON.parse(event.slice(6)).choices[0].delta.content ?? '')
    expect(text.join('')).toBe(whole.choices[0].message.content)
    expect((await post('/free/v1/chat/completions', '{')).status).toBe(400)
  })
})

describe('startServer', () => {
  it('refuses a chain and a contract that are not there', async () => {
    const start = (more: Record<string, string>) => startServer(readConfig(environment(more)), log)
    await expect(start({ CHAIN_ID: '1337', FREE_ROUTE: '' })).rejects.toThrow('is on chain 31337')
    const nobody = `0x${'12'.repeat(20)}`
    await expect(start({ CONTRACT_ADDRESS: nobody })).rejects.toThrow(`no contract at ${nobody}`)
  })

  it('refuses a port that is taken, and closes its ledger then', async () => {
    const { port } = new URL(server.url)
    const DATABASE = join(folder, 'other.db')
    const start = (PORT: string) => startServer(readConfig(environment({ PORT, DATABASE })), log)
    await expect(start(port)).rejects.toThrow('EADDRINUSE')
    await (await start('0')).close()
  })
})
