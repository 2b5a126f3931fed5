/**
 * A thousand requests of every kind against the provider as shipped: what the chain pays in the end is the sum of the costs
 * that came with the answers, to the unit.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import {
  createDrainClient,
  createPaywall,
  LimitExceededError,
  type Paywall,
  Usdc,
  Headers as Wire,
} from '@drain-protocol/sdk'
import { paid, type RunningServer, send, serve } from '@drain-protocol/sdk/node'
import { sqliteLedger } from '@drain-protocol/sdk/sqlite'
import { type Address, erc20Abi } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type ChatService, paidChat } from '../../ai-provider/src/chat.ts'
import { localUpstream } from '../../ai-provider/src/local.ts'
import { localModel, parseModels } from '../../ai-provider/src/models.ts'

const requests = 1_000
/** Half of the requests go out one by one, the others so many at once. */
const atOnce = 20

let chain: LocalChain
let folder: string
let paywall: Paywall
let server: RunningServer
const provider = privateKeyToAccount(generatePrivateKey())
const consumer = privateKeyToAccount(generatePrivateKey())

beforeAll(async () => {
  chain = await startLocalChain()
  folder = await mkdtemp(join(tmpdir(), 'exact-money-'))
  for (const { address } of [provider, consumer]) {
    await chain.testClient.setBalance({ address, value: 10n ** 18n })
  }
  await chain.fund(consumer.address, '10')
  const models = parseModels(localModel, 2_000)
  paywall = createPaywall({
    account: provider,
    chainId: chain.chainId,
    rpcUrl: chain.rpcUrl,
    contractAddress: chain.deployment.contract,
    usdcAddress: chain.deployment.token,
    ledger: sqliteLedger(join(folder, 'provider.db')),
    models: Object.fromEntries([...models.values()].map(({ id, pricing }) => [id, pricing])),
    terms: { minDeposit: '0.1' },
    log: () => {},
  })
  const upstream = localUpstream()
  const service: ChatService = {
    models,
    upstreamOf: () => upstream,
    maxBodyBytes: 100_000,
    log: () => {},
  }
  const routes: Record<string, ReturnType<typeof paid>> = {
    '/joke': paid(paywall, '0.001', (_, res) => res.end('a joke')),
    // Costs less than its price, each time something else.
    '/metered': paid(paywall, '0.002', (req, res, payment) => {
      payment.charge(BigInt(new URL(req.url ?? '', 'http://any').searchParams.get('cost') ?? 0))
      res.end('as much as it was')
    }),
    '/fails': paid(paywall, '0.002', (_, res) => res.writeHead(500).end()),
    '/dear': paid(paywall, '1', (_, res) => res.end('too dear')),
    '/free': (_, res) => res.end('free'),
    async '/v1/chat/completions'(req, res) {
      await send(res, await paidChat(toRequest(req), paywall, service))
    },
  }
  server = await serve(paywall, (req, res) => routes[(req.url ?? '').split('?')[0] ?? '']?.(req, res), {
    port: 0,
    signals: false,
  })
})
afterAll(async () => {
  await server?.close()
  await chain?.close()
  await rm(folder, { recursive: true, force: true })
})

it('settles the sum of the reported costs over a thousand mixed requests', async () => {
  const client = createDrainClient({
    account: consumer,
    deployment: chain.deployment,
    rpcUrl: chain.rpcUrl,
    // Small channels, so that several run dry on the way.
    limits: { perRequest: '0.01', perChannel: '0.2', perProvider: '2', perDay: '5' },
  })
  const reported: bigint[] = []
  const outcomes = new Map<string, number>()

  async function ask(index: number): Promise<void> {
    const { name, request } = kinds[index % kinds.length] as Kind
    const outcome = await request(client.fetch, server.url, index).then(
      (cost) => {
        reported.push(cost)
        return name
      },
      (error) => {
        if (error instanceof LimitExceededError) return `${name}: over the limit`
        throw error
      },
    )
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }

  for (let index = 0; index < requests; ) {
    const isAlone = Math.floor(index / atOnce) % 2 === 0
    const next = Array.from({ length: isAlone ? 1 : atOnce }, () => index++)
    await Promise.all(next.map(ask))
  }

  const each = requests / kinds.length
  const expected = kinds.map(({ name }) => [name === 'dear' ? 'dear: over the limit' : name, each])
  expect(Object.fromEntries(outcomes)).toEqual(Object.fromEntries(expected))

  const sum = reported.reduce((total, cost) => total + cost)
  expect(sum).toBeGreaterThan(BigInt(each) * 1_000n)
  expect(await chargedByLedger()).toBe(sum)
  expect(Usdc.parse((await client.spending()).charged)).toBe(sum)
  expect((await client.channels()).length).toBeGreaterThan(2)

  const closed = await client.closeAll()
  expect(closed.reduce((total, { finalAmount }) => total + Usdc.parse(finalAmount), 0n)).toBe(sum)
  expect(await balance(provider.address)).toBe(sum)
  expect(await balance(consumer.address)).toBe(Usdc.parse('10') - sum)
  expect(await balance(chain.deployment.contract)).toBe(0n)
  expect(await client.spending()).toMatchObject({ charged: Usdc.format(sum), locked: '0' })
}, 300_000)

/** Sends a request, checks its answer and returns the cost that came with it, in base units. */
type Kind = { name: string; request(fetch: Fetch, url: string, index: number): Promise<bigint> }
type Fetch = typeof globalThis.fetch

const kinds: Kind[] = [
  ...['first chat', 'second chat'].map((name) => ({
    name,
    async request(fetch: Fetch, url: string, index: number) {
      const response = await chat(fetch, url, index, { max_tokens: 24 + (index % 40) })
      const { usage } = await response.json()
      expect(usage.completion_tokens).toBeGreaterThan(0)
      return costOf(response)
    },
  })),
  {
    name: 'stream',
    async request(fetch, url, index) {
      const response = await chat(fetch, url, index, { stream: true, max_tokens: 90 })
      return costIn(await response.text())
    },
  },
  {
    name: 'stream of several steps',
    async request(fetch, url, index) {
      const response = await chat(fetch, url, index, { stream: true, n: 8, max_tokens: 400 })
      return costIn(await response.text())
    },
  },
  ...['joke', 'other joke'].map((name) => ({
    name,
    async request(fetch: Fetch, url: string) {
      const response = await fetch(`${url}/joke`)
      expect(await response.text()).toBe('a joke')
      return costOf(response)
    },
  })),
  {
    name: 'metered',
    async request(fetch, url, index) {
      const response = await fetch(`${url}/metered?cost=${index}`)
      expect(await response.text()).toBe('as much as it was')
      expect(costOf(response)).toBe(BigInt(index))
      return costOf(response)
    },
  },
  {
    name: 'failing',
    async request(fetch, url) {
      const response = await fetch(`${url}/fails`)
      expect(response.status).toBe(500)
      return Wire.parseCosts(response.headers)?.cost ?? 0n
    },
  },
  {
    name: 'unknown model',
    async request(fetch, url, index) {
      const response = await chat(fetch, url, index, { model: 'nobody' })
      expect(response.status).toBe(404)
      return Wire.parseCosts(response.headers)?.cost ?? 0n
    },
  },
  {
    name: 'dear',
    async request(fetch, url) {
      return costOf(await fetch(`${url}/dear`))
    },
  },
]

function chat(fetch: Fetch, url: string, seed: number, more: Record<string, unknown>): Promise<Response> {
  const messages = [{ role: 'user', content: `Question ${seed}${'?'.repeat(seed % 50)}` }]
  return fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ model: localModel, messages, seed, ...more }),
  })
}

function costOf({ status, headers }: Response): bigint {
  const { cost } = Wire.parseCosts(headers) ?? {}
  if (status !== 200 || cost === undefined) throw new Error(`An answer of ${status} without a cost.`)
  return cost
}

/** A stream tells its cost at its end. */
function costIn(text: string): bigint {
  expect(text).toMatch(/data: \[DONE\]\s*$/)
  return BigInt(/^: X-DRAIN-Cost: ([0-9]+)$/m.exec(text)?.[1] ?? 'none')
}

async function chargedByLedger(): Promise<bigint> {
  let charged = 0n
  for await (const channel of paywall.ledger.channels()) {
    expect(channel.reserved).toBe(0n)
    charged += channel.charged
  }
  return charged
}

function balance(address: Address): Promise<bigint> {
  return chain.publicClient.readContract({
    address: chain.deployment.token,
    abi: erc20Abi,
    functionName: 'balanceOf',
    args: [address],
  })
}

function toRequest(req: IncomingMessage): Request {
  return new Request(`http://${req.headers.host}${req.url}`, {
    method: req.method ?? 'GET',
    headers: req.headers as Record<string, string>,
    body: Readable.toWeb(req) as ReadableStream,
    duplex: 'half',
  } as RequestInit)
}
