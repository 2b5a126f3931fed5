/** The connection test of services that are paid by MPP challenges. */
import type { IncomingMessage } from 'node:http'
import type { Scheme } from '@drain/provider'
import { endpoints, paid } from '@drain/provider/node'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { TestOptions } from './ConnectionTest.ts'
import { detailOf, failed, isClean, type Setting, startSetting } from './providers.fixture.ts'

let setting: Setting
beforeAll(async () => {
  setting = await startSetting()
})
afterEach(() => setting.stop())
afterAll(() => setting?.close())

describe('an MPP service', () => {
  const request = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const asked = { amount: '1000', currency: '0x3c49', recipient: '0x7099', methodDetails: { chainId: 137 } }
  const challenge = (realm: string, changed: { method?: string; request?: unknown; expires?: string } = {}) =>
    `Payment id="x", realm="${realm}", method="${changed.method ?? 'evm'}", intent="charge", request="${request(changed.request ?? asked)}"${changed.expires ? `, expires="${changed.expires}"` : ''}`
  const mpp = (apiUrl: string, changed: Partial<TestOptions> = {}) =>
    setting.run(apiUrl, { protocol: 'mpp', ...changed })
  const paying = (text: (host: string) => string, isMine = (_req: IncomingMessage) => true) =>
    setting.listen((req, res) => {
      if (!isMine(req)) return res.writeHead(req.url === '/' ? 405 : 404).end()
      res.writeHead(402, { 'WWW-Authenticate': text(req.headers.host ?? '') }).end()
    })

  test('with a paywall of this project passes, whatever it is asked with', async () => {
    const scheme: Scheme = {
      name: 'evm/charge',
      offer: ({ origin }) => challenge(new URL(origin).host),
      read: () => undefined,
    }
    const paywall = setting.paywall({
      schemes: [() => scheme],
      routes: [{ method: 'GET', path: '/moon', price: '0.01' }],
    })
    const moon = paid(paywall, '0.01', (_req, res) => res.end('full'))
    const apiUrl = await setting.listen(
      endpoints(paywall, (req, res) => (req.url === '/moon' ? moon(req, res) : res.writeHead(404).end())),
    )
    for (const mppEndpoint of ['/moon', 'moon', `${apiUrl}/moon`]) {
      const { passed, checks, offer, docs } = await mpp(apiUrl, { mppEndpoint, mppType: 'rest' })
      expect(failed(checks)).toEqual([])
      expect(passed).toBe(true)
      expect(docs).toContain('/moon')
      expect(offer).toMatchObject({
        ...{
          protocol: 'mpp',
          method: 'evm',
          intent: 'charge',
          amount: '1000',
          currency: '0x3c49',
          chainId: 137,
        },
        ...{ recipient: '0x7099', methods: ['evm/charge'], httpMethod: 'GET' },
      })
    }
    expect(failed((await mpp(apiUrl, { mppEndpoint: '/moon', mppType: 'llm' })).checks)).toEqual([])
  })

  test('at its own address, by POST alone, without docs', async () => {
    const apiUrl = await paying(challenge, ({ method }) => method === 'POST')
    const { passed, offer, docs } = await mpp(apiUrl)
    expect([passed, docs]).toEqual([true, undefined])
    expect(offer).toMatchObject({ httpMethod: 'POST' })
  })

  test('with several challenges: the first that can be answered counts, all are named', async () => {
    const apiUrl = await paying((host) => {
      const old = challenge(host, { method: 'old', expires: '2020-01-01T00:00:00Z' })
      const foreign = challenge('elsewhere.example', { method: 'foreign' })
      const later = challenge(host, { method: 'tempo', expires: '2999-01-01T00:00:00Z' })
      return [old, foreign, 'Bearer realm="x"', challenge(host), later].join(', ')
    })
    expect((await mpp(apiUrl)).offer).toMatchObject({
      method: 'evm',
      methods: ['evm/charge', 'tempo/charge'],
    })
  })

  test.each([
    ['no challenge', () => 'Bearer realm="x"', 'no challenge'],
    ['a challenge of another scheme’s text', () => 'Basic realm="Payment id=x"', 'no challenge'],
    ['another’s realm', () => challenge('bank.example'), 'bank.example'],
    ['a parent’s realm', () => challenge('0.0.1'), 'realm'],
    [
      'an expired challenge',
      (host: string) => challenge(host, { expires: '2020-01-01T00:00:00Z' }),
      'expired',
    ],
    ['no amount', (host: string) => challenge(host, { request: { currency: 'usd' } }), 'amount'],
    ['an amount in a number', (host: string) => challenge(host, { request: { amount: 5 } }), 'amount'],
    ['an amount that is none', (host: string) => challenge(host, { request: { amount: '-5' } }), 'amount'],
  ])('fails with %s', async (_, text, told) => {
    const { checks, passed, offer } = await mpp(await paying(text))
    expect([passed, offer, failed(checks)]).toEqual([false, undefined, ['payment']])
    expect(detailOf(checks, 'payment')).toContain(told)
    expect(isClean(checks)).toBe(true)
  })

  test.each([
    [200, 'without a payment'],
    [404, 'There is no'],
    [500, 'fails'],
    [302, 'redirects'],
  ])('fails when it answers %i', async (status, told) => {
    const apiUrl = await setting.listen((_, res) => res.writeHead(status, { Location: '/' }).end('{}'))
    const { checks } = await mpp(apiUrl)
    expect(failed(checks)).toEqual(['payment'])
    expect(detailOf(checks, 'payment')).toContain(told)
  })

  test('lists what is its own only', async () => {
    const theirs = await paying(challenge)
    const ours = await paying(challenge)
    for (const mppEndpoint of [
      theirs,
      `//${new URL(theirs).host}/`,
      'https://bank.example/pay',
      'file:///etc/passwd',
    ]) {
      const { checks, passed } = await mpp(ours, { mppEndpoint })
      expect([passed, failed(checks)]).toEqual([false, ['reachable', 'payment', 'docs']])
    }
  })

  test('a docs URL is asked first, and not where it must not be', async () => {
    const docs = await setting.listen((_, res) => res.end('How to use it'))
    const apiUrl = await paying(challenge)
    expect((await mpp(apiUrl, { docsUrl: docs })).docs).toBe('How to use it')
    const { docs: none, passed } = await mpp(apiUrl, { docsUrl: 'http://169.254.169.254/latest' })
    expect([passed, none]).toEqual([true, undefined])
  })
})
