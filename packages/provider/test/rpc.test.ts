/** Nodes that fail, hang, limit and change, in front of a real chain. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { DrainError, drainChannelAbi } from '@drain/core'
import { createPublicClient, createWalletClient, type Hex, http, parseEther } from 'viem'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { parseRpcUrls, type RpcUrlInput, rpcUrlOf } from '../src/chain/rpcUrlOf.ts'
import { rpcTransport } from '../src/chain/transport.ts'
import { type Fixture, startFixture } from './fixture.ts'
import { type RpcProxy, startRpcProxy } from './RpcProxy.ts'

let fixture: Fixture
let chainId: number
const servers: Server[] = []
const proxies: RpcProxy[] = []

beforeAll(async () => {
  fixture = await startFixture()
  chainId = fixture.chain.chainId
})
afterEach(async () => {
  await Promise.all(proxies.splice(0).map((proxy) => proxy.close()))
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})
afterAll(() => fixture.close())

/** As hosted nodes have them. */
const key = 'Kx7-secret-api-key'
/** Patience with nodes that are to answer, whatever else the machine does. */
const timeoutMs = 60_000

async function proxy(): Promise<RpcProxy> {
  const started = await startRpcProxy(fixture.chain.rpcUrl)
  proxies.push(started)
  return started
}

/** A node that answers everything alike; with `undefined`, nothing. */
async function node(answer?: { status: number; body?: unknown; headers?: Record<string, string> }) {
  const state = { url: '', requests: 0 }
  const server = createServer((request, response) => {
    state.requests += 1
    request.resume()
    if (!answer) return
    const headers = { 'Content-Type': 'application/json', ...answer.headers }
    response.writeHead(answer.status, headers).end(JSON.stringify(answer.body ?? {}))
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v2/${key}`
  return state
}

async function deadUrl(): Promise<string> {
  const { url } = await node()
  const server = servers.pop()
  await new Promise((resolve) => server?.close(resolve))
  return url
}

function connect(input: RpcUrlInput, options: rpcTransport.Options = {}) {
  return createPublicClient({ transport: rpcTransport(input, { timeoutMs, ...options }), cacheTime: 0 })
}

describe('several nodes', () => {
  test('the next one answers for one that is dead, one that hangs, and one that limits', async () => {
    const [dead, hanging] = [await deadUrl(), await node()]
    const limited = await node({ status: 429, headers: { 'Retry-After': '3600' } })
    const broken = await node({ status: 502 })
    const good = await proxy()
    const lines: string[] = []
    const log = (line: string) => void lines.push(line)
    const client = connect([dead, hanging.url, limited.url, broken.url, good.url], { log, timeoutMs: 2_000 })
    expect(await client.getChainId()).toBe(chainId)
    expect([hanging.requests, limited.requests, broken.requests]).toEqual([1, 1, 1])
    expect(lines).toEqual([
      'node 1 of 5 fails (out of reach); others are asked first',
      'node 2 of 5 fails (no answer in time); others are asked first',
      'node 3 of 5 fails (rate limit); others are asked first',
      'node 4 of 5 fails (status 502); others are asked first',
    ])
    // They rest: what comes next does not wait for them again.
    expect(await client.getBlockNumber()).toBeGreaterThan(0n)
    expect([hanging.requests, limited.requests, broken.requests]).toEqual([1, 1, 1])
    expect(good.count('eth_blockNumber')).toBe(1)
  })

  test.each([
    ['the standard’s limit', { code: -32_005, message: 'limit exceeded' }],
    ['a limit in the way of Alchemy', { code: 429, message: 'compute units' }],
    ['a limit in the way of QuickNode', { code: -32_007, message: '50/second request limit reached' }],
  ])('passes over a node that refuses with %s and status 200', async (_, error) => {
    const limited = await node({ status: 200, body: { jsonrpc: '2.0', id: 1, error } })
    const client = connect([limited.url, fixture.chain.rpcUrl])
    expect(await client.getChainId()).toBe(chainId)
    expect(await client.getBlockNumber()).toBeGreaterThan(0n)
    expect(limited.requests).toBe(1)
  })

  test('a call that reverts is an answer, and no reason to ask others', async () => {
    const [first, second] = [await proxy(), await proxy()]
    const client = connect(`${first.url}, ${second.url}`)
    const { contract } = fixture.chain.deployment
    const unknown: Hex = `0x${'11'.repeat(32)}`
    const call = client.simulateContract({
      ...({ address: contract, abi: drainChannelAbi, functionName: 'close', args: [unknown] } as const),
      account: fixture.stranger,
    })
    await expect(call).rejects.toMatchObject({ name: 'ContractFunctionExecutionError' })
    expect([first.count('eth_call'), second.count('eth_call')]).toEqual([1, 0])
  })

  test('sends a transaction past a node that is down', async () => {
    const down = await proxy()
    down.isDown = true
    const { consumer, stranger, chain } = fixture
    const transport = rpcTransport([down.url, chain.rpcUrl], { timeoutMs })
    const wallet = createWalletClient({ account: consumer, chain: chain.chain, transport })
    const hash = await wallet.sendTransaction({ to: stranger.address, value: parseEther('0.001') })
    const client = createPublicClient({ transport: http(chain.rpcUrl), pollingInterval: 20 })
    expect((await client.waitForTransactionReceipt({ hash })).status).toBe('success')
  })

  test('all of them are tried again before a request fails, and one that comes back is used', async () => {
    const [one, other] = [await proxy(), await proxy()]
    one.isDown = true
    other.isDown = true
    const lines: string[] = []
    const client = connect([one.url, other.url], { log: (line) => void lines.push(line) })
    await expect(client.getChainId()).rejects.toThrow()
    expect(one.count('eth_chainId')).toBe(4)
    expect(other.count('eth_chainId')).toBe(4)
    other.isDown = false
    expect(await client.getChainId()).toBe(chainId)
    expect(lines).toEqual([
      'node 1 of 2 fails (status 503); others are asked first',
      'node 2 of 2 fails (status 503); others are asked first',
      'node 2 of 2 answers again',
    ])
  })

  test('one of another chain is passed over, now and when it takes the place of another', async () => {
    const other = await node({ status: 200, body: { jsonrpc: '2.0', id: 1, result: '0x89' } })
    const good = await proxy()
    let urls = [other.url, good.url]
    const lines: string[] = []
    const log = (line: string) => void lines.push(line)
    const client = connect(() => urls, { chainId, rereadMs: 0, log })
    expect(await client.getBlockNumber()).toBeGreaterThan(0n)
    expect(await client.getChainId()).toBe(chainId)
    expect(lines).toEqual(['node 1 of 2 fails (another chain); others are asked first'])
    expect(other.requests).toBe(1)
    urls = [other.url]
    await expect(client.getBlockNumber()).rejects.toThrow('another chain')
    expect(other.requests).toBe(2)
  })

  test('the same question twice at a time is asked once', async () => {
    const good = await proxy()
    const client = connect(['http://127.0.0.1:9', good.url])
    const release = good.hold()
    const answers = [client.getBlockNumber(), client.getBlockNumber()]
    await expect.poll(() => good.count('eth_blockNumber')).toBe(1)
    release()
    const [one, other] = await Promise.all(answers)
    expect(one).toBe(other)
    expect(good.count('eth_blockNumber')).toBe(1)
  })

  test('a node that hangs alone is given up once', async () => {
    const hanging = await node()
    await expect(connect(hanging.url, { timeoutMs: 200 }).getChainId()).rejects.toThrow('took too long')
    expect(hanging.requests).toBe(1)
  })
})

describe('exchanging the nodes', () => {
  test('needs no restart, and lets what runs end where it began', async () => {
    const [old, fresh] = [await proxy(), await proxy()]
    let urls = old.url
    const client = connect(() => urls, { rereadMs: 0 })
    const release = old.hold()
    const running = client.getBlockNumber()
    await expect.poll(() => old.count('eth_blockNumber')).toBe(1)
    urls = fresh.url
    expect(await client.getChainId()).toBe(chainId)
    expect([old.count('eth_chainId'), fresh.count('eth_chainId')]).toEqual([0, 1])
    release()
    expect(await running).toBeGreaterThan(0n)
    expect(old.answered('eth_blockNumber')).toBe(1)
  })

  test('keeps the nodes it knows while their list is missing or wrong', async () => {
    const good = await proxy()
    let urls: () => string | undefined = () => good.url
    const lines: string[] = []
    const client = connect(() => urls(), { rereadMs: 0, log: (line) => void lines.push(line) })
    const missing = () => {
      throw new Error(`cannot read ${good.url}`)
    }
    for (const wrong of [missing, () => '', () => undefined, () => `localhost:8545/${key}`]) {
      urls = wrong
      expect(await client.getChainId()).toBe(chainId)
    }
    expect(lines).toEqual(['the URLs of the nodes cannot be read; those known are kept'])
    urls = () => `${good.url}/,${good.url}/again`
    expect(await client.getChainId()).toBe(chainId)
    expect(lines.at(-1)).toBe('the nodes were exchanged: 2 now')
  })

  test('a paywall follows the list that its operator changes', async () => {
    const [old, fresh] = [await proxy(), await proxy()]
    const urls = [old.url]
    const paywall = fixture.paywall({ rpcUrl: () => urls })
    await paywall.ready()
    expect(fresh.count('eth_chainId')).toBe(0)
    urls[0] = fresh.url
    old.isDown = true
    await expect
      .poll(async () => {
        await paywall.lookUp(`0x${'22'.repeat(32)}`).catch(() => {})
        return fresh.count('eth_call')
      })
      .toBeGreaterThan(0)
  })
})

describe('what is said of a node', () => {
  test('is never its URL, whatever fails', async () => {
    const [host] = new URL((await node()).url).host.split('/')
    const credentials = `http://operator:pass-word-1@${host}/rpc?apikey=${key}`
    const echo = { jsonrpc: '2.0', id: 1, error: { code: -32_602, message: `no such project ${key}` } }
    const inputs: RpcUrlInput[] = [
      await deadUrl(),
      (await node()).url,
      (await node({ status: 500, body: { error: `upstream of ${key}` } })).url,
      (await node({ status: 401, body: echo })).url,
      (await node({ status: 200, body: echo })).url,
      credentials,
      'http://a-name-that-is-secret.invalid/',
      ['http://a-name-that-is-secret.invalid/', await deadUrl()],
    ]
    for (const input of inputs) {
      const lines: string[] = []
      const client = connect(input, { timeoutMs: 200, log: (line) => void lines.push(line) })
      const { contract } = fixture.chain.deployment
      const errors = await Promise.all([
        client.getChainId().catch((error) => error),
        client.getCode({ address: contract }).catch((error) => error),
      ])
      for (const error of errors) {
        expect(error).toBeInstanceOf(Error)
        const said = [
          String(error),
          inspect(error, { depth: 20, showHidden: true }),
          JSON.stringify(error),
          ...lines,
        ]
        for (const secret of [key, '127.0.0.1', 'pass-word-1', 'operator', 'a-name-that-is-secret'])
          expect(said.join('\n')).not.toContain(secret)
      }
    }
  })

  test.each([
    ['', 'rpc_missing'],
    [[], 'rpc_missing'],
    [() => undefined, 'rpc_missing'],
    [`ws://node/${key}`, 'rpc_url_invalid'],
    [['http://node', key], 'rpc_url_invalid'],
  ] as [RpcUrlInput, string][])('%s is refused at the start as %s', (input, code) => {
    const refusal = (() => {
      try {
        return rpcTransport(input)
      } catch (error) {
        return error as DrainError
      }
    })()
    expect(refusal).toBeInstanceOf(DrainError)
    expect(refusal).toMatchObject({ code })
    expect(String(refusal)).not.toContain(key)
  })

  test('the public node of a known chain is the default', () => {
    expect(rpcUrlOf({ chainId: 137 })).toMatch(/^https:/)
    expect(() => rpcUrlOf({ chainId: 31_337 })).toThrow('No node is known')
    expect(() => rpcUrlOf({ chainId: 137, rpcUrl: [] })).toThrow(DrainError)
  })

  test('a list is read from text as people write it', () => {
    expect(parseRpcUrls(' https://one/a,b?c=1 ,http://two\nhttps://three,\n')).toEqual([
      'https://one/a,b?c=1',
      'http://two',
      'https://three',
    ])
  })
})

describe('the admin token', () => {
  test('is asked for at every request: the old one ends at once, and without one there are no routes', async () => {
    let token: string | undefined = 'the first token of the operator'
    const paywall = fixture.paywall({
      adminToken: () => {
        if (token === 'unreadable') throw new Error('no such file')
        return token
      },
    })
    const statusWith = async (bearer: string) => {
      const headers = { Authorization: `Bearer ${bearer}` }
      const answers = ['/v1/admin/stats', '/metrics'].map((path) =>
        paywall.endpoints(new Request(`http://provider${path}`, { headers })),
      )
      const statuses = (await Promise.all(answers)).map((answer) => answer?.status)
      expect(new Set(statuses).size).toBe(1)
      return statuses[0]
    }
    const [first, second] = [token, 'the second token of the operator']
    expect(await statusWith(first)).toBe(200)
    token = second
    expect(await statusWith(first)).toBe(401)
    expect(await statusWith(second)).toBe(200)
    for (const none of ['', undefined, 'unreadable']) {
      token = none
      for (const bearer of [second, first, '', 'undefined', 'unreadable'])
        expect(await statusWith(bearer)).toBeUndefined()
    }
    token = first
    expect(await statusWith(first)).toBe(200)
  })
})
