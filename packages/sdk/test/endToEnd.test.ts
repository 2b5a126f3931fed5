/** The client against the provider: both sides as shipped, on a real chain, over real connections. */

import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import {
  createDrainClient,
  createPaywall,
  type DrainClientOptions,
  type Paywall,
  type PaywallConfig,
  Pricing,
  Quote,
  sse,
  Usdc,
  Headers as Wire,
} from '@drain-protocol/sdk'
import { endpoints, paid } from '@drain-protocol/sdk/express'
import { sqliteLedger } from '@drain-protocol/sdk/sqlite'
import express from 'express'
import { erc20Abi, type Hex } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const model = Pricing.perToken({ inputPer1k: '0.001', outputPer1k: '0.002', defaultMaxTokens: 100 })

let chain: LocalChain
let folder: string
const servers: Server[] = []
const paywalls: Paywall[] = []
beforeAll(async () => {
  chain = await startLocalChain()
  folder = mkdtempSync(join(tmpdir(), 'drain-end-to-end-'))
})
afterAll(async () => {
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
  await Promise.all(paywalls.map((paywall) => paywall.close()))
  await chain?.close()
  rmSync(folder, { recursive: true, force: true })
})

const where = () => ({
  chainId: chain.chainId,
  rpcUrl: chain.rpcUrl,
  contractAddress: chain.deployment.contract,
  usdcAddress: chain.deployment.token,
})

/** A provider with an account of its own. */
async function startProvider(options: Partial<PaywallConfig> = {}) {
  const account = privateKeyToAccount(generatePrivateKey())
  await chain.testClient.setBalance({ address: account.address, value: 10n ** 18n })
  const paywall = createPaywall({
    account,
    ...where(),
    models: { chat: model },
    ledger: sqliteLedger(join(folder, `${account.address}.db`)),
    ...options,
  })
  paywalls.push(paywall)
  const app = express()
  app.use(endpoints(paywall), express.json())
  app.get('/joke', paid(paywall, '0.001'), (_, res) => void res.json({ joke: true }))
  app.get('/slow', paid(paywall, '0.001'), async (_, res) => {
    await new Promise((resolve) => setTimeout(resolve, 100))
    res.locals.payment.charge(400n)
    res.json({ slow: true })
  })
  app.get('/lost', paid(paywall, '0.04'), async (req, res) => {
    await res.locals.payment.settle(true)
    req.socket.destroy()
  })
  app.get('/dear', paid(paywall, '0.04'), (_, res) => void res.json({ dear: true }))
  app.get('/fails', paid(paywall, '0.001'), (_, res) => void res.status(500).json({}))
  app.post('/v1/chat/completions', async (req, res) => {
    const { amount } = Quote.chat(model, req.body)
    const request = new Request(`http://${req.host}${req.url}`, {
      method: 'POST',
      headers: req.headers as Record<string, string>,
    })
    // It was read already, and is needed for the request's Idempotency-Key.
    const body = new TextEncoder().encode(JSON.stringify(req.body))
    const response = await paywall.handle(
      request,
      amount,
      (payment) => {
        if (!req.body.stream) {
          payment.charge(model, { inputTokens: 5, outputTokens: 10 })
          return Response.json({ text: 'answer' })
        }
        async function* events() {
          for (let output = 1; output <= 10; output += 1) {
            yield {
              data: JSON.stringify({ output }),
              cost: Pricing.cost(model, { inputTokens: 5, outputTokens: output }),
            }
          }
        }
        return sse(payment, events())
      },
      { body },
    )
    res.status(response.status)
    for (const [name, value] of response.headers) res.setHeader(name, value)
    for await (const chunk of response.body ?? []) res.write(chunk)
    res.end()
  })
  const server = createServer(app)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { paywall, account, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

/** A client with an account of its own, that counts the requests it sends. */
async function startClient(options: Partial<DrainClientOptions> = {}) {
  const account = privateKeyToAccount(generatePrivateKey())
  await chain.testClient.setBalance({ address: account.address, value: 10n ** 18n })
  await chain.fund(account.address, '10')
  const sent: string[] = []
  const client = createDrainClient({
    account,
    ...where(),
    limits: { perRequest: '0.01', perChannel: '1' },
    fetch: (input, init) => {
      sent.push(new URL(String(input)).pathname)
      return fetch(input, init)
    },
    ...options,
  })
  return { client, account, sent }
}

const balance = (address: Hex) =>
  chain.publicClient.readContract({
    address: chain.deployment.token,
    abi: erc20Abi,
    functionName: 'balanceOf',
    args: [address],
  })
const costOf = (response: Response) => Wire.parseCosts(response.headers)?.cost ?? 0n
const chat = (fetch: typeof globalThis.fetch, url: string, stream = false) =>
  fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      model: 'chat',
      messages: [{ role: 'user', content: 'Hello' }],
      max_tokens: 50,
      stream,
    }),
  })

test('the first request opens a channel, the following ones go there paid', async () => {
  const { url } = await startProvider()
  const { client, sent } = await startClient()
  expect(await (await client.fetch(`${url}/joke`)).json()).toEqual({ joke: true })
  sent.length = 0
  for (let count = 0; count < 5; count += 1) expect((await client.fetch(`${url}/joke`)).status).toBe(200)
  expect(sent).toEqual(Array(5).fill('/joke')) // one round trip each
  expect(await client.channels()).toMatchObject([
    { origin: url, state: 'open', charged: '0.006', signed: '0.006' },
  ])
})

test('20 parallel calls from the start: one channel, all served, nothing signed twice', async () => {
  const { url, paywall } = await startProvider()
  const { client } = await startClient()
  const responses = await Promise.all(Array.from({ length: 20 }, () => client.fetch(`${url}/slow`)))
  expect(responses.map(({ status }) => status)).toEqual(Array(20).fill(200))
  const channels = await client.channels()
  expect(channels).toHaveLength(1)
  const state = await paywall.ledger.get(channels[0]?.channelId as Hex)
  expect(state).toMatchObject({ charged: 20n * 400n, reserved: 0n })
  // The unspent part is used up before more is signed.
  expect((await client.fetch(`${url}/slow`)).status).toBe(200)
  expect(Usdc.parse((await client.spending()).signed)).toBe(state?.authorized)
})

test('over mixed requests, what is settled is the sum of the reported costs, to the unit', async () => {
  const { url, account: provider, paywall } = await startProvider()
  const { client, account: consumer } = await startClient()
  const before = await balance(consumer.address)
  let reported = 0n
  for (let round = 0; round < 30; round += 1) {
    const [joke, slow, failing, answer, stream] = await Promise.all([
      client.fetch(`${url}/joke`),
      client.fetch(`${url}/slow`),
      client.fetch(`${url}/fails`),
      chat(client.fetch, url),
      chat(client.fetch, url, true),
    ])
    expect(failing.status).toBe(500)
    const streamed = await stream.text()
    expect(streamed).not.toContain('payment-receipt') // the OpenAI SDK would choke on it
    reported += [joke, slow, failing, answer].map(costOf).reduce((sum, cost) => sum + cost)
    reported += BigInt(/^: X-DRAIN-Cost: ([0-9]+)$/m.exec(streamed)?.[1] ?? 'none')
  }
  const [channel] = await client.channels()
  expect((await paywall.ledger.get(channel?.channelId as Hex))?.charged).toBe(reported)
  const [closed] = await client.closeAll()
  expect(closed).toMatchObject({
    finalAmount: Usdc.format(reported),
    refund: Usdc.format(1_000_000n - reported),
  })
  expect(await balance(provider.address)).toBe(reported)
  expect(await balance(consumer.address)).toBe(before - reported)
})

describe('the end', () => {
  test('worth a transaction: the provider settles, the consumer sends none', async () => {
    const { url, account: provider } = await startProvider({ minPayout: '0.001' })
    const { client, account } = await startClient()
    await client.fetch(`${url}/joke`)
    const sentBefore = await chain.publicClient.getTransactionCount(account)
    await client.closeAll()
    expect(await chain.publicClient.getTransactionCount(account)).toBe(sentBefore)
    expect(await balance(provider.address)).toBe(1_000n)
    expect(await client.channels()).toMatchObject([{ state: 'closed' }])
  })

  test('not worth one: the consumer closes with the provider’s signature', async () => {
    const { url, account: provider } = await startProvider({ minPayout: '1' })
    const { client, account } = await startClient()
    await client.fetch(`${url}/joke`)
    const sentBefore = await chain.publicClient.getTransactionCount(account)
    expect(await client.closeAll()).toMatchObject([{ finalAmount: '0.001', refund: '0.999' }])
    expect(await chain.publicClient.getTransactionCount(account)).toBe(sentBefore + 1)
    expect(await balance(provider.address)).toBe(1_000n)
  })

  test('afterwards the next request opens the next channel', async () => {
    const { url } = await startProvider()
    const { client } = await startClient()
    await client.fetch(`${url}/joke`)
    await client.closeAll()
    expect((await client.fetch(`${url}/joke`)).status).toBe(200)
    expect((await client.channels()).map(({ state }) => state)).toEqual(['closed', 'open'])
  })
})

test('a channel that is used up is followed by the next', async () => {
  const { url } = await startProvider()
  const { client } = await startClient({ limits: { perRequest: '0.001', perChannel: '0.1' } })
  for (let count = 0; count < 105; count += 1) expect((await client.fetch(`${url}/joke`)).status).toBe(200)
  const channels = await client.channels()
  expect(channels).toHaveLength(2)
  expect((await client.spending()).charged).toBe('0.105')
})

test('a channel that lost answers have used up is followed by the next', async () => {
  const { url } = await startProvider()
  const { client } = await startClient({ limits: { perRequest: '0.05', perChannel: '0.1' } })
  await expect(client.fetch(`${url}/lost`)).rejects.toThrow()
  await expect(client.fetch(`${url}/lost`)).rejects.toThrow()
  expect((await client.fetch(`${url}/dear`)).status).toBe(200)
  expect((await client.channels()).map(({ state }) => state)).toEqual(['closed', 'open'])
  expect((await client.fetch(`${url}/dear`)).status).toBe(200)
})

test('a provider that lost its ledger cannot make the client pay twice, and is not cheated', async () => {
  const { url, paywall, account } = await startProvider()
  const { client } = await startClient()
  await client.fetch(`${url}/joke`)
  await client.fetch(`${url}/joke`)
  // The same provider with an empty ledger: the old vouchers would pass again there, but this client signs new ones.
  const forgetful = createPaywall({
    ...paywall.config,
    account,
    ledger: sqliteLedger(join(folder, 'forgetful.db')),
  })
  paywalls.push(forgetful)
  const app = express()
  app.get('/joke', paid(forgetful, '0.001'), (_, res) => void res.json({ joke: true }))
  const server = servers.find((candidate) => url.endsWith(`:${(candidate.address() as AddressInfo).port}`))
  server?.removeAllListeners('request').on('request', app)
  expect((await client.fetch(`${url}/joke`)).status).toBe(200)
  expect((await client.spending()).signed).toBe('0.003')
})

test('over the limit nothing is opened, nothing is signed', async () => {
  const { url } = await startProvider()
  const { client, account } = await startClient({ limits: { perRequest: '0.0009', perChannel: '1' } })
  await expect(client.fetch(`${url}/joke`)).rejects.toMatchObject({ code: 'limit_exceeded' })
  expect(await client.channels()).toEqual([])
  expect(await chain.publicClient.getTransactionCount(account)).toBe(0)
})
