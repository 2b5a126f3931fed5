/** The connection test against providers as this project makes them, and against servers that only look like one. */
import type { IncomingMessage } from 'node:http'
import { InvalidRequestError, Headers as Wire } from '@drain/core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { ConnectionCheck } from './ConnectionTest.ts'
import { probe } from './probe.ts'
import {
  detailOf,
  endless,
  failed,
  instead,
  isClean,
  outward,
  type Setting,
  startSetting,
} from './providers.fixture.ts'

let setting: Setting
beforeAll(async () => {
  setting = await startSetting()
})
afterEach(() => setting.stop())
afterAll(() => setting?.close())

describe('a provider of this project passes', () => {
  test('check by check, each told as it ends, with what it sells', async () => {
    const told: ConnectionCheck[] = []
    const result = await setting.run(await setting.provider(), { onCheck: (check) => told.push(check) })
    expect(result.checks.map(({ name, passed }) => [name, passed])).toEqual([
      ['reachable', true],
      ['pricing', true],
      ['address', true],
      ['models', true],
      ['docs', true],
      ['payment', true],
    ])
    expect(told).toEqual(result.checks)
    expect(result).toMatchObject({
      passed: true,
      latencyMs: expect.any(Number),
      docs: expect.stringContaining('X-DRAIN-Voucher'),
      offer: {
        protocol: 'drain',
        providerAddress: setting.chain.accounts[1].address,
        chainId: 31337,
        contract: setting.chain.deployment.contract,
        name: 'Parrot',
        quote: '1000',
        models: [
          { id: 'small', inputPer1kTokens: '0.01', outputPer1kTokens: '0.1', type: 'tokens' },
          { id: 'image', inputPer1kTokens: '0.05', outputPer1kTokens: '0', unit: 'image' },
        ],
      },
    })
    expect(detailOf(result.checks, 'payment')).toContain('0.001000 USDC')
    expect(isClean(result.checks)).toBe(true)
  })

  test('below a path, with a slash at the end or without', async () => {
    const origin = await setting.provider({ prefix: '/api/parrot' })
    expect(failed((await setting.run(`${origin}/api/parrot`)).checks)).toEqual([])
    expect(failed((await setting.run(`${origin}/api/parrot/`)).checks)).toEqual([])
    expect(failed((await setting.run(origin)).checks)).not.toEqual([])
  })

  test('that looks at the body first, with the example of its /openapi.json', async () => {
    const price = async (req: IncomingMessage) => {
      let body = ''
      for await (const chunk of req) body += chunk
      if (!body.includes('words')) throw new InvalidRequestError('The last user message must be JSON.')
      return 500n
    }
    const path = '/v1/chat/completions'
    const content = {
      'application/json': {
        example: { model: 'small', messages: [{ role: 'user', content: '{"words":1}' }] },
      },
    }
    const described = [{ method: 'POST', path, requestBody: { content } }] as const
    const result = await setting.run(await setting.provider({ price, routes: described }))
    expect(failed(result.checks)).toEqual([])
    expect(result.offer).toMatchObject({ quote: '500' })
    const bare = await setting.run(await setting.provider({ price, routes: [{ method: 'POST', path }] }))
    expect(failed(bare.checks)).toEqual(['payment'])
    expect(detailOf(bare.checks, 'payment')).toContain('/openapi.json')
  })

  test('and a health round says so in short', async () => {
    const apiUrl = await setting.provider()
    const found = await probe({ apiUrl, protocol: 'drain', outward, timeoutMs: 30_000 })
    expect(found).toMatchObject({
      reached: true,
      correct: true,
      latencyMs: expect.any(Number),
      problem: undefined,
    })
    expect(found.docsLength).toBeGreaterThan(100)
  })
})

describe('a test that may take so long in all', () => {
  test('breaks off what runs when its time is over, and asks nothing any more', async () => {
    const asked: string[] = []
    let isEnded = false
    const apiUrl = await setting.provider({}, (req, res) => {
      asked.push(req.url ?? '')
      if (req.url !== '/v1/docs') return false
      res.on('close', () => {
        isEnded = true
      })
      return true
    })
    const { checks, offer } = await setting.run(apiUrl, { timeoutMs: 1e8, withinMs: 3_000 })
    expect(failed(checks)).toEqual(['docs', 'payment'])
    expect(detailOf(checks, 'payment')).toContain('takes too long')
    expect(offer).toMatchObject({ protocol: 'drain' })
    await expect.poll(() => isEnded).toBe(true)
    expect(asked).toEqual(['/v1/pricing', '/v1/docs'])
  })
})

describe('a provider that is not as it says', () => {
  test('is another’s', async () => {
    const { checks, passed } = await setting.run(await setting.provider(), {
      providerAddress: setting.chain.accounts[2].address,
    })
    expect([passed, failed(checks)]).toEqual([false, ['address']])
    expect(detailOf(checks, 'address')).toContain(setting.chain.accounts[2].address)
  })

  test('sells nothing', async () => {
    const { checks } = await setting.run(await setting.provider({ models: {} }))
    expect(failed(checks)).toEqual(['models', 'payment'])
  })

  test('takes payments in a contract that agents don’t know', async () => {
    const { checks } = await setting.run(await setting.provider(), { isKnownContract: () => false })
    expect(failed(checks)).toEqual(['payment'])
    expect(detailOf(checks, 'payment')).toContain(setting.chain.deployment.contract)
  })

  test.each([
    ['99 characters', 'text/plain', 'x'.repeat(99)],
    ['spaces', 'text/plain', ' '.repeat(500)],
    ['what can’t be seen', 'text/plain', '\u200b'.repeat(500)],
    ['a web page', 'text/html; charset=utf-8', `<html>${'x'.repeat(500)}`],
  ])('has docs of %s', async (_, type, text) => {
    const change = instead('/v1/docs', (res) => res.writeHead(200, { 'Content-Type': type }).end(text))
    expect(failed((await setting.run(await setting.provider({}, change))).checks)).toEqual(['docs'])
  })

  test('has docs that are very long: the beginning is kept', async () => {
    const change = instead('/v1/docs', (res) => res.end(`\u0007\u202e${'x'.repeat(100_000)}`))
    const { docs, passed } = await setting.run(await setting.provider({}, change))
    expect([passed, docs?.length, docs?.[0]]).toEqual([true, 20_000, 'x'])
  })

  test.each([
    [200, 'without a payment'],
    [301, 'redirects'],
    [400, '/openapi.json'],
    [401, 'login'],
    [404, 'There is no'],
    [429, 'Test again'],
    [500, 'fails'],
    [503, 'fails'],
  ])('answers %i to who does not pay', async (status, advice) => {
    const change = instead('/v1/chat/completions', (res) =>
      res.writeHead(status, { Location: '/v1/docs' }).end('{}'),
    )
    const { checks } = await setting.run(await setting.provider({}, change))
    expect(failed(checks)).toEqual(['payment'])
    expect(detailOf(checks, 'payment')).toContain(advice)
    expect(detailOf(checks, 'payment')).toContain(String(status))
  })

  test('serves a stream to who does not pay', async () => {
    const change = instead('/v1/chat/completions', (res) => {
      res.writeHead(200)
      endless(res, 'x')
    })
    const { checks } = await setting.run(await setting.provider({}, change))
    expect(failed(checks)).toEqual(['payment'])
  })
})

describe('a 402', () => {
  /** The headers of a proper one, changed. */
  async function withHeaders(changed: Record<string, string | string[] | undefined>) {
    const target = new Map<string, string>()
    const { contract } = setting.chain.deployment
    Wire.writeOffer(target, {
      provider: setting.chain.accounts[1].address,
      contract,
      chainId: 31337,
      features: [],
    })
    Wire.writeRejection(target, { code: 'voucher_required', message: '', required: 1_000n })
    const headers = { ...Object.fromEntries(target), ...changed }
    const change = instead('/v1/chat/completions', (res) => {
      for (const [name, value] of Object.entries(headers)) if (value !== undefined) res.setHeader(name, value)
      res.writeHead(402).end()
    })
    const { checks } = await setting.run(await setting.provider({}, change))
    expect(isClean(checks)).toBe(true)
    return { failed: failed(checks), detail: detailOf(checks, 'payment') }
  }
  const elsewhere = `0x${'12'.repeat(20)}`

  test('is proper with these headers', async () => {
    expect(await withHeaders({})).toMatchObject({ failed: [] })
  })

  test.each([
    ['no headers of the protocol', { 'X-Payment-Protocol': undefined }, 'X-Payment-Protocol'],
    ['another protocol', { 'X-Payment-Protocol': 'x402' }, 'X-Payment-Protocol'],
    ['no provider', { 'X-Payment-Provider': undefined }, 'X-Payment-Provider'],
    ['two providers', { 'X-Payment-Provider': [elsewhere, elsewhere] }, 'X-Payment-Provider'],
    ['a contract that is none', { 'X-Payment-Contract': 'x'.repeat(5_000) }, 'X-Payment-Contract'],
    ['a chain that is none', { 'X-Payment-Chain': 'polygon' }, 'X-Payment-Chain'],
    ['another provider', { 'X-Payment-Provider': elsewhere }, elsewhere],
    ['another contract', { 'X-Payment-Contract': elsewhere }, elsewhere],
    ['another chain', { 'X-Payment-Chain': '137' }, 'chain 137'],
    ['no code', { 'X-DRAIN-Error': undefined, 'X-Payment-Error': undefined }, 'voucher_required'],
    [
      'another code',
      { 'X-DRAIN-Error': 'insufficient_funds', 'X-Payment-Error': undefined },
      'voucher_required',
    ],
    ['no price', { 'X-DRAIN-Required': undefined }, 'X-DRAIN-Required'],
    ['a price with a point', { 'X-DRAIN-Required': '0.001' }, 'X-DRAIN-Required'],
  ])('with %s is none', async (_, changed, told) => {
    const { failed, detail } = await withHeaders(changed)
    expect(failed).toEqual(['payment'])
    expect(detail).toContain(told)
  })
})

describe('a server that is no provider', () => {
  test('nobody listens: nothing else is tried', async () => {
    const apiUrl = await setting.listen(() => {})
    await setting.stop()
    const { checks, passed, latencyMs } = await setting.run(apiUrl)
    expect({ passed, latencyMs }).toEqual({ passed: false, latencyMs: null })
    expect(failed(checks)).toEqual(['reachable', 'pricing', 'address', 'models', 'docs', 'payment'])
    expect(await probe({ apiUrl, protocol: 'drain', outward })).toMatchObject({
      ...{ reached: false, correct: false, latencyMs: null },
      problem: expect.stringContaining('can’t be reached'),
    })
  })

  test('it never answers', async () => {
    const { checks } = await setting.run(await setting.listen(() => {}), { timeoutMs: 100 })
    expect(failed(checks)).toContain('reachable')
    expect(detailOf(checks, 'reachable')).toContain('too long')
  })

  test.each([
    'http://169.254.169.254/',
    'https://10.0.0.1',
    'file:///etc/passwd',
    'not a URL',
    '',
    'https://u:p@x.example',
  ])('it is not asked: %j', async (apiUrl) => {
    for (const protocol of ['drain', 'mpp'] as const) {
      const { checks, passed } = await setting.run(apiUrl, { protocol })
      expect(passed).toBe(false)
      expect(failed(checks)).toContain('reachable')
    }
  })

  test('every path has the same page', async () => {
    const page = `<!doctype html>${'x'.repeat(1_000)}`
    const apiUrl = await setting.listen((_, res) =>
      res.writeHead(200, { 'Content-Type': 'text/html' }).end(page),
    )
    const { checks } = await setting.run(apiUrl)
    expect(failed(checks)).toEqual(['pricing', 'address', 'models', 'docs', 'payment'])
  })

  test('its price list never ends: it is reached, and wrong', async () => {
    const change = instead('/v1/pricing', (res) => endless(res, '['))
    const { checks } = await setting.run(await setting.provider({}, change))
    expect(failed(checks)).toEqual(['pricing', 'address', 'models', 'payment'])
  })

  test('nothing that it sends reaches a detail unclean or whole', async () => {
    const nasty = `\u202e\u200b<script>alert(1)</script>\u001b[31m${'A'.repeat(3_000)}`
    const list = { provider: nasty, chainId: 1, models: { [nasty]: { inputPer1kTokens: nasty } } }
    for (const answer of [list, { ...list, provider: setting.chain.accounts[1].address }]) {
      const apiUrl = await setting.listen((_, res) => res.end(JSON.stringify(answer)))
      const { checks, passed } = await setting.run(apiUrl)
      expect(passed).toBe(false)
      expect(isClean(checks)).toBe(true)
    }
  })
})
