import { Pricing, Usdc, Voucher, Headers as Wire } from '@drain/core'
import { memoryLedger, type Paywall, type PaywallConfig } from '@drain/provider'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Fixture, type OpenChannel, startFixture } from './fixture.ts'

let fixture: Fixture
let paywall: Paywall
beforeAll(async () => {
  fixture = await startFixture()
  paywall = fixture.paywall({ name: 'Test', models: { joke: Pricing.flat('0.001') }, adminToken: 'secret' })
})
afterAll(() => fixture?.close())

const price = Usdc.parse('0.001')
const url = 'http://provider.test/joke'
const ask = (
  headers: Record<string, string> = {},
  work: () => Response | Promise<Response> = () => new Response('paid'),
) => paywall.handle(new Request(url, { headers }), price, work)
const code = (response: Response) => response.headers.get('X-DRAIN-Error')
const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  paywall.endpoints(
    new Request(`http://provider.test${path}`, { method: 'POST', body: JSON.stringify(body), headers }),
  ) as Promise<Response>

describe('a request without a voucher', () => {
  test('is told how and where to pay', async () => {
    const response = await ask()
    expect(response.status).toBe(402)
    expect(Wire.parseOffer(response.headers)).toEqual({
      provider: fixture.provider.address,
      contract: fixture.chain.deployment.contract,
      chainId: 31337,
      signing: 'http://provider.test/v1/signing',
      docs: 'http://provider.test/v1/docs',
      features: expect.arrayContaining(['claimAndClose']),
    })
    expect(Wire.parseRejection(response.headers)).toEqual({ code: 'voucher_required', required: price })
    expect(response.headers.get('Cache-Control')).toBe('no-store')
    expect(response.headers.get('Access-Control-Allow-Origin')).toBe('*')
    expect(response.headers.get('Access-Control-Expose-Headers')).toContain('X-DRAIN-Required')
    expect(await response.json()).toEqual({
      error: { message: expect.any(String), type: 'payment_required', code: 'voucher_required' },
    })
  })

  test('behind a proxy it is told the public address', async () => {
    const proxied = fixture.paywall({ publicUrl: 'https://api.example' })
    const response = await proxied.handle(new Request(url), price, () => new Response())
    expect(Wire.parseOffer(response.headers)?.signing).toBe('https://api.example/v1/signing')
  })

  test('a preflight is not asked to pay', async () => {
    const headers = { 'Access-Control-Request-Method': 'POST', Origin: 'http://app.test' }
    const response = await paywall.handle(new Request(url, { method: 'OPTIONS', headers }), price, () => {
      throw new Error('not reached')
    })
    expect(response.status).toBe(204)
    expect(response.headers.get('Access-Control-Allow-Headers')).toContain('X-DRAIN-Voucher')
  })
})

describe('a paid request', () => {
  test('is served and told what it cost', async () => {
    const channel = await fixture.open()
    const response = await ask(await channel.voucher(price))
    expect(response.status).toBe(200)
    expect(await response.text()).toBe('paid')
    const costs = { channelId: channel.id, cost: price, total: price, remaining: channel.deposit - price }
    expect(Wire.parseCosts(response.headers)).toEqual(costs)
    expect(response.headers.get('X-Payment-Total')).toBe(price.toString())
    expect(response.headers.get('Cache-Control')).toBe('private')
  })

  test('is charged its real cost, and the rest is credit for the next', async () => {
    const channel = await fixture.open()
    const serve = (headers: Record<string, string>, cost: bigint) =>
      paywall.handle(new Request(url, { headers }), price, (payment) => {
        payment.charge(cost)
        return new Response('paid')
      })
    expect(Wire.parseCosts((await serve(await channel.voucher(price), 300n)).headers)?.total).toBe(300n)
    // 700 are left; the next quote of 1,000 needs 1,300 in all.
    const refused = await serve(await channel.voucher(price), 1n)
    expect(Wire.parseRejection(refused.headers)).toEqual({
      code: 'insufficient_funds',
      required: 1_000n,
      provided: 700n,
      requiredCumulative: 1_300n,
      providedCumulative: 1_000n,
    })
    expect((await refused.json()).error.message).toBe(
      'Voucher covers 0.000700 USDC, this request needs 0.001000 USDC. Sign a voucher for at least 0.001300 USDC (cumulative).',
    )
    // More than the quote is cut to the quote.
    expect(Wire.parseCosts((await serve(await channel.voucher(1_300n), 99_999n)).headers)?.total).toBe(1_300n)
  })

  test.each([
    [
      'throws',
      () => {
        throw new Error('secret detail')
      },
      500,
    ],
    ['answers 404', () => new Response('no', { status: 404 }), 404],
    ['answers 502', () => new Response('no', { status: 502 }), 502],
    ['answers nothing', () => undefined as never, 500],
    ['answers what is no answer', () => Response.error(), 500],
    [
      'answers what it has read',
      async () => {
        const response = await fetch('data:text/plain,read')
        await response.text()
        return response
      },
      500,
    ],
    [
      'answers what it still reads',
      () => {
        const response = new Response('read')
        response.body?.getReader()
        return response
      },
      500,
    ],
  ] as [string, () => Response | Promise<Response>, number][])(
    'is not charged when its work %s',
    async (_, work, status) => {
      const channel = await fixture.open()
      const response = await ask(await channel.voucher(price), work)
      expect(response.status).toBe(status)
      expect(await response.text()).not.toContain('secret')
      expect(Wire.parseCosts(response.headers)).toMatchObject({ cost: 0n, total: 0n })
      expect((await paywall.ledger.get(channel.id))?.reserved).toBe(0n)
      expect((await ask(await channel.voucher(price))).status).toBe(200)
    },
  )
})

describe('a voucher pays once', () => {
  test('50 concurrent requests that share one voucher for one request: exactly one is served', async () => {
    const channel = await fixture.open()
    const headers = await channel.voucher(price)
    let served = 0
    const responses = await Promise.all(
      Array.from({ length: 50 }, () =>
        ask(headers, () => {
          served += 1
          return new Response('paid')
        }),
      ),
    )
    expect(served).toBe(1)
    expect(responses.filter((response) => response.status === 200)).toHaveLength(1)
    expect(responses.filter((response) => code(response) === 'invalid_nonce')).toHaveLength(49)
  })

  test('50 honest parallel requests with rising vouchers: all are served, in whatever order they come', async () => {
    const channel = await fixture.open()
    const vouchers = []
    for (let count = 1n; count <= 50n; count += 1n) vouchers.push(await channel.voucher(count * price))
    // Reversed, and interleaved: what matters is the sum.
    const order = [...vouchers.slice(25).reverse(), ...vouchers.slice(0, 25)]
    const responses = await Promise.all(order.map((headers) => ask(headers)))
    expect(responses.map((response) => response.status)).toEqual(Array(50).fill(200))
    expect((await paywall.ledger.get(channel.id))?.charged).toBe(50n * price)
  })

  test('in another letter case it is the same channel', async () => {
    const channel = await fixture.open()
    const headers = await channel.voucher(price)
    const shouted = {
      'X-DRAIN-Voucher': (headers['X-DRAIN-Voucher'] as string).replace(
        channel.id,
        `0x${channel.id.slice(2).toUpperCase()}`,
      ),
    }
    expect((await ask(headers)).status).toBe(200)
    expect(code(await ask(shouted))).toBe('invalid_nonce')
    expect(code(await ask({ 'X-Payment-Voucher': shouted['X-DRAIN-Voucher'] }))).toBe('invalid_nonce')
  })

  test('a voucher refused for funds cannot be replayed once there is credit', async () => {
    const channel = await fixture.open()
    const tooLow = await channel.voucher(price - 1n)
    expect(code(await ask(tooLow))).toBe('insufficient_funds')
    expect((await post('/v1/vouchers', undefined, await channel.voucher(10n * price))).status).toBe(200)
    expect(code(await ask(tooLow))).toBe('invalid_nonce')
    expect((await ask(await channel.voucher(price))).status).toBe(200)
  })

  test('after a restart the ledger still knows', async () => {
    const channel = await fixture.open()
    const headers = await channel.voucher(price)
    const ledger = (await import('@drain/provider/sqlite')).sqliteLedger(`${fixture.folder}/restart.db`)
    const first = fixture.paywall({ ledger })
    expect((await first.handle(new Request(url, { headers }), price, () => new Response())).status).toBe(200)
    await first.close()
    const second = fixture.paywall({ ledger })
    expect(code(await second.handle(new Request(url, { headers }), price, () => new Response()))).toBe(
      'invalid_nonce',
    )
  })
})

describe('refuses', () => {
  let channel: OpenChannel
  beforeAll(async () => {
    channel = await fixture.open()
  })

  test('a signature of somebody else', async () => {
    expect(code(await ask(await channel.voucher(price, { signer: fixture.stranger })))).toBe(
      'invalid_signature',
    )
  })

  test('an amount that was not signed', async () => {
    const headers = await channel.voucher(price)
    const forged = (headers['X-DRAIN-Voucher'] as string).replace('"1000"', '"2000"')
    expect(code(await ask({ 'X-DRAIN-Voucher': forged }))).toBe('invalid_signature')
  })

  test('a signature for another contract', async () => {
    const unsigned = { channelId: channel.id, amount: price, nonce: 99n }
    const elsewhere = { chainId: 31337, contract: fixture.chain.deployment.token }
    const signature = await fixture.consumer.signTypedData(Voucher.typedData(unsigned, elsewhere))
    const headers = { 'X-DRAIN-Voucher': Voucher.toHeader({ ...unsigned, signature }) }
    expect(code(await ask(headers))).toBe('invalid_signature')
  })

  test('more than the deposit', async () => {
    expect(code(await ask(await channel.voucher(channel.deposit + 1n)))).toBe('exceeds_deposit')
  })

  test('a channel to another provider', async () => {
    const other = await fixture.open({ to: fixture.stranger.address })
    expect(code(await ask(await other.voucher(price)))).toBe('wrong_provider')
  })

  test('a channel that does not exist', async () => {
    const headers = await channel.voucher(price)
    const unknown = (headers['X-DRAIN-Voucher'] as string).replace(channel.id, `0x${'9'.repeat(64)}`)
    expect(code(await ask({ 'X-DRAIN-Voucher': unknown }))).toBe('channel_not_found')
  })

  test('a channel below its terms', async () => {
    expect(code(await ask(await (await fixture.open({ amount: '0.05' })).voucher(price)))).toBe(
      'channel_terms',
    )
    expect(code(await ask(await (await fixture.open({ duration: 600n })).voucher(price)))).toBe(
      'channel_terms',
    )
  })

  test('a malformed voucher, and two of them', async () => {
    expect((await ask({ 'X-DRAIN-Voucher': '{}' })).status).toBe(400)
    const two = { ...(await channel.voucher(price)), 'X-Payment-Voucher': 'another' }
    expect(code(await ask(two))).toBe('multiple_payments')
  })
})

test('a channel is not served once it is about to expire, by the clock of the chain', async () => {
  const channel = await fixture.open({ duration: 7_200n })
  let clock = Date.now()
  const own = fixture.paywall({ ledger: memoryLedger({ log: () => {} }), clock: () => clock })
  const pay = async () =>
    own.handle(new Request(url, { headers: await channel.voucher(price) }), price, () => new Response())
  expect((await pay()).status).toBe(200)
  clock += 7_200_000 * 0.89
  // A tenth of its time is left for the provider to claim.
  expect((await (await pay()).json().catch(() => ({}))).error?.code).not.toBe('channel_expired')
  clock += 7_200_000 * 0.02
  expect(code(await pay())).toBe('channel_expired')
})

describe('the end of a channel', () => {
  const close = async (channel: OpenChannel, options = {}) =>
    post('/v1/close-channel', { channelId: channel.id, ...(await channel.request('close', options)) })

  test('the provider settles what was charged, the rest goes back, and repeats get the same answer', async () => {
    const channel = await fixture.open({ amount: '2' })
    const paid = fixture.paywall()
    const serve = async (amount: bigint, cost: bigint) =>
      paid.handle(
        new Request(url, { headers: await channel.voucher(amount) }),
        Usdc.parse('0.5'),
        (payment) => {
          payment.charge(cost)
          return new Response()
        },
      )
    expect((await serve(Usdc.parse('0.5'), 300_000n)).status).toBe(200)
    expect((await serve(Usdc.parse('0.8'), 123_456n)).status).toBe(200)
    const [before, earned] = await Promise.all([
      fixture.balance(fixture.consumer.address),
      fixture.balance(fixture.provider.address),
    ])

    const request = { channelId: channel.id, ...(await channel.request('close')) }
    const send = () =>
      paid.endpoints(
        new Request('http://p.test/v1/close-channel', { method: 'POST', body: JSON.stringify(request) }),
      ) as Promise<Response>
    const answer = await (await send()).json()
    expect(answer).toMatchObject({
      channelId: channel.id,
      finalAmount: '423456',
      txHash: expect.stringMatching(/^0x/),
    })
    expect(await fixture.balance(fixture.provider.address)).toBe(earned + 423_456n)
    expect(await fixture.balance(fixture.consumer.address)).toBe(before + 2_000_000n - 423_456n)
    expect(await (await send()).json()).toEqual(answer)
    expect(code(await serve(Usdc.parse('1'), 1n))).toBe('channel_not_found') // gone from the chain
  })

  test('a payout not worth a transaction is left to the consumer, signed', async () => {
    const channel = await fixture.open()
    expect((await ask(await channel.voucher(price))).status).toBe(200)
    const answer = await (await close(channel)).json()
    expect(answer).toEqual({
      channelId: channel.id,
      finalAmount: '1000',
      signature: expect.stringMatching(/^0x[0-9a-f]{130}$/),
    })
    expect(code(await ask(await channel.voucher(2n * price)))).toBe('channel_closing')
  })

  test('a channel that was never used closes at zero', async () => {
    const channel = await fixture.open()
    expect(await (await close(channel)).json()).toMatchObject({ finalAmount: '0' })
    expect(code(await ask(await channel.voucher(price)))).toBe('channel_closing')
  })

  test.each([
    ['by a stranger', async (channel: OpenChannel) => close(channel, { signer: fixture.stranger })],
    ['too far ahead', async (channel: OpenChannel) => close(channel, { ahead: 400n })],
    ['in the past', async (channel: OpenChannel) => close(channel, { ahead: -5n })],
    [
      'without a signature',
      async (channel: OpenChannel) => post('/v1/close-channel', { channelId: channel.id }),
    ],
    [
      'signed for another action',
      async (channel: OpenChannel) =>
        post('/v1/close-channel', { channelId: channel.id, ...(await channel.request('state')) }),
    ],
  ])('a close asked for %s freezes nothing', async (_, attempt) => {
    const channel = await fixture.open()
    expect(code(await attempt(channel))).toBe('invalid_signature')
    expect((await ask(await channel.voucher(price))).status).toBe(200)
  })

  test('a close waits for the requests that run, and they are charged', async () => {
    const channel = await fixture.open()
    let finish: (response: Response) => void = () => {}
    const started = new Promise<void>((resolve) => {
      void channel.voucher(price).then((headers) =>
        paywall.handle(new Request(url, { headers }), price, () => {
          resolve()
          return new Promise((done) => {
            finish = done
          })
        }),
      )
    })
    await started
    const closing = close(channel)
    const isFrozen = async () => {
      while ((await paywall.ledger.get(channel.id))?.status !== 'closing') await new Promise(setImmediate)
    }
    await isFrozen()
    finish(new Response('done'))
    expect(await (await closing).json()).toMatchObject({ finalAmount: price.toString() })
  })
})

describe('claims what was charged, never what was merely signed', () => {
  async function used(features?: readonly ('open' | 'claim' | 'close')[]) {
    const { deployment } = fixture.chain
    const own = fixture.paywall(features ? { deployment: { ...deployment, features } } : {})
    const channel = await fixture.open({ amount: '5' })
    const serve = async (amount: bigint, cost: bigint) =>
      own.handle(new Request(url, { headers: await channel.voucher(amount) }), Usdc.parse('1'), (payment) => {
        payment.charge(cost)
        return new Response()
      })
    const earned = await fixture.balance(fixture.provider.address)
    return {
      own,
      channel,
      serve,
      gained: async () => (await fixture.balance(fixture.provider.address)) - earned,
    }
  }

  test('to the unit', async () => {
    const { own, channel, serve, gained } = await used()
    await serve(1_000_000n, 400_000n)
    expect(await own.settlement.claim(channel.id, { atLeast: 400_001n })).toBeUndefined()
    expect(await own.settlement.claim(channel.id)).toMatchObject({ amount: 400_000n })
    await serve(1_400_000n, 1n)
    expect(await own.settlement.claim(channel.id)).toMatchObject({ amount: 1n })
    expect(await gained()).toBe(400_001n)
    expect(await own.settlement.claim(channel.id)).toBeUndefined()
  })

  test('with the best voucher below it, on contracts that pay whole vouchers', async () => {
    const { own, channel, serve, gained } = await used(['open', 'claim', 'close'])
    await serve(1_000_000n, 400_000n)
    expect(await own.settlement.claim(channel.id)).toBeUndefined() // nothing signed is as low as 0.4
    await serve(1_400_000n, 900_000n) // charged 1.3: the first voucher is covered
    expect(await own.settlement.claim(channel.id)).toMatchObject({ amount: 1_000_000n })
    expect(await gained()).toBe(1_000_000n)
    expect(await own.settlement.claim(channel.id)).toBeUndefined()
  })
})

describe('a consumer that signs for its whole deposit and never closes', () => {
  /** A provider that settles by itself, a channel that owes 0.9 of 1 USDC, and a clock to turn. */
  async function used(options: Partial<PaywallConfig> = {}) {
    let clock = Date.now()
    const log: string[] = []
    const own = fixture.paywall({
      settle: {},
      ledger: memoryLedger({ log: () => {} }),
      clock: () => clock,
      log: (message) => log.push(message),
      ...options,
    })
    const channel = await fixture.open({ duration: 7_200n })
    for (let count = 0; count < 3; count += 1) {
      const headers = await channel.voucher(channel.deposit)
      const response = await own.handle(
        new Request(url, { headers }),
        Usdc.parse('0.3'),
        () => new Response(),
      )
      expect(response.status).toBe(200)
    }
    const turnTo = (share: number) => {
      clock += 7_200_000 * share
    }
    const balances = () =>
      Promise.all([fixture.balance(fixture.provider.address), fixture.balance(fixture.consumer.address)])
    return { own, channel, log, turnTo, balances }
  }

  test('pays what it owes before its channel expires', async () => {
    const { own, turnTo, balances } = await used()
    const [earned, held] = await balances()
    await own.settler.run()
    expect(await balances()).toEqual([earned, held]) // below the threshold, and time enough
    turnTo(0.91)
    await own.settler.run()
    expect(await balances()).toEqual([earned + 900_000n, held])
  })

  test('pays it also when the first settlement fails', async () => {
    const { own, turnTo, balances, channel, log } = await used()
    const [earned, held] = await balances()
    turnTo(0.91)
    const { testClient } = fixture.chain
    const { address } = fixture.provider
    await testClient.setBalance({ address, value: 0n })
    await own.settler.run()
    expect(log.join()).toContain(channel.id)
    expect(log.join()).toContain('no_gas')
    expect(await balances()).toEqual([earned, held])
    await testClient.setBalance({ address, value: 10n ** 20n })
    await own.settler.run()
    expect(await balances()).toEqual([earned + 900_000n, held])
  })

  test('pays what it signed on a contract that can only claim that, unless it closes with the consent it got', async () => {
    // The contract as the older ones are.
    const features = ['open', 'claim', 'close', 'cooperativeClose'] as const
    const { own, turnTo, balances, channel } = await used({
      deployment: { ...fixture.chain.deployment, features },
    })
    const [earned] = await balances()
    const request = new Request('http://p.test/v1/close-channel', {
      method: 'POST',
      body: JSON.stringify({ channelId: channel.id, ...(await channel.request('close')) }),
    })
    expect(await (await own.endpoints(request))?.json()).toMatchObject({ finalAmount: '900000' })
    await own.settler.run()
    expect((await balances())[0]).toBe(earned)
    turnTo(0.91)
    await own.settler.run()
    expect((await balances())[0]).toBe(earned + channel.deposit)
  })
})

test('rounds too far apart for the shortest channel are refused at the start', () => {
  expect(() => fixture.paywall({ settle: { interval: '10m' } })).toThrow(/too slow for channels of 30m/)
})

describe('endpoints', () => {
  const get = (path: string, headers: Record<string, string> = {}) =>
    paywall.endpoints(new Request(`http://provider.test${path}`, { headers }))

  test('pricing, models, docs, signing, health', async () => {
    expect(await (await get('/v1/pricing'))?.json()).toMatchObject({
      provider: fixture.provider.address,
      providerName: 'Test',
      chainId: 31337,
      currency: 'USDC',
      decimals: 6,
      contract: fixture.chain.deployment.contract,
      terms: { minDeposit: '0.1', minDuration: 1800, recommendedDuration: 86400, maxDuration: 31536000 },
      models: { joke: { inputPer1kTokens: '0.001', outputPer1kTokens: '0' } },
    })
    const models = await (await get('/v1/models'))?.json()
    expect(models.data[0].created).toBeLessThan(10_000_000_000) // seconds, not milliseconds
    const docs = await get('/v1/docs')
    expect(docs?.headers.get('Content-Type')).toContain('text/plain')
    expect((await docs?.text())?.length).toBeGreaterThan(1_000)
    expect(await (await get('/v1/signing'))?.json()).toMatchObject({
      domain: { name: 'DrainChannel', version: '1', chainId: 31337 },
      domainSeparator: paywall.domainSeparator,
    })
    expect((await get('/health'))?.status).toBe(200)
  })

  test('the state of a channel is for its consumer only, with the voucher it signed', async () => {
    const channel = await fixture.open()
    const headers = await channel.voucher(price)
    await ask(headers)
    const state = async (signer = fixture.consumer) =>
      get(`/v1/channels/${channel.id}`, {
        [Wire.request]: JSON.stringify(await channel.request('state', { signer })),
      })
    const { signature } = JSON.parse(headers['X-DRAIN-Voucher'] as string)
    expect(await (await state())?.json()).toMatchObject({
      status: 'open',
      deposit: '1000000',
      charged: '1000',
      reserved: '0',
      voucher: { amount: '1000', nonce: '1', signature },
    })
    expect((await state(fixture.stranger))?.status).toBe(402)
    expect((await get(`/v1/channels/${channel.id}`))?.status).toBe(402)
    expect((await get('/v1/channels/0x12'))?.status).toBe(400)
  })

  test('the chain is not asked about channels for which nobody has signed', async () => {
    const own = fixture.paywall({ rpcUrl: 'http://127.0.0.1:9' })
    const at = (path: string, init?: RequestInit) =>
      own.endpoints(new Request(`http://p.test${path}`, init)) as Promise<Response>
    const channelId = `0x${'5e'.repeat(32)}`
    const late = { deadline: '1', signature: `0x${'11'.repeat(65)}` }
    for (const fields of [{}, late]) {
      const headers = { [Wire.request]: JSON.stringify(fields) }
      const body = JSON.stringify({ channelId, ...fields })
      for (const response of [
        await at(`/v1/channels/${channelId}`, { headers }),
        await at('/v1/close-channel', { method: 'POST', body }),
      ]) {
        expect([response.status, code(response)]).toEqual([402, 'invalid_signature'])
      }
    }
    // One that is signed is looked up, which fails here.
    const channel = await fixture.open()
    const signed = { [Wire.request]: JSON.stringify(await channel.request('state')) }
    expect((await at(`/v1/channels/${channel.id}`, { headers: signed })).status).toBe(503)
  })

  test('the documentation names the origin that it was asked at, and no cache gives it to others', async () => {
    const response = await get('/v1/docs')
    expect(response?.headers.get('Cache-Control')).toBe('no-store')
  })

  test('administration needs the token, and does not exist without one', async () => {
    expect((await get('/v1/admin/stats'))?.status).toBe(401)
    expect((await get('/v1/admin/stats', { Authorization: 'Bearer wrong' }))?.status).toBe(401)
    const stats = await get('/v1/admin/stats', { Authorization: 'Bearer secret' })
    expect(await stats?.json()).toMatchObject({
      provider: fixture.provider.address,
      charged: expect.any(String),
    })
    expect(stats?.headers.get('Access-Control-Allow-Origin')).toBeNull()
    expect((await get('/v1/admin/vouchers', { Authorization: 'Bearer secret' }))?.status).toBe(200)
    const bare = fixture.paywall({ adminToken: undefined })
    const request = new Request('http://p.test/v1/admin/stats', {
      headers: { Authorization: 'Bearer undefined' },
    })
    expect(await bare.endpoints(request)).toBeUndefined()
    expect((await get('/v1/admin/stats'))?.headers.get('Access-Control-Allow-Origin')).toBeNull()
  })

  test('a body nested too deeply is malformed, not an outage', async () => {
    const body = `${'['.repeat(20_000)}${']'.repeat(20_000)}`
    const request = new Request('http://p.test/v1/vouchers', { method: 'POST', body })
    expect((await paywall.endpoints(request))?.status).toBe(400)
  })

  test('all other requests are left alone', async () => {
    expect(await get('/')).toBeUndefined()
    expect(await get('/v1/chat/completions')).toBeUndefined()
  })
})
