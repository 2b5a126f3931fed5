/** Limits per channel: for the channel's own consumer, and nobody else can use them up. */
import { Usdc } from '@drain/core'
import type { Paywall } from '@drain/provider'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createRateLimits } from '../src/http/rateLimits.ts'
import { type Fixture, type OpenChannel, startFixture } from './fixture.ts'

const id = (text: string) => `0x${text.padEnd(64, '0')}` as const

describe('a budget', () => {
  test('fills up again with time, and tells how long that takes', () => {
    let now = 0
    const limits = createRateLimits({ requestsPerMinute: 6 }, () => now)
    const take = () => limits.take(id('a'))
    expect(Array.from({ length: 6 }, take).map(({ ok }) => ok)).toEqual(Array(6).fill(true))
    expect(take()).toEqual({ ok: false, limit: 'requests_per_minute', retryAfterSeconds: 10 })
    now += 9_999
    expect(take()).toEqual({ ok: false, limit: 'requests_per_minute', retryAfterSeconds: 1 })
    now += 1
    expect([take().ok, take().ok]).toEqual([true, false])
    expect(limits.take(id('b')).ok).toBe(true)
    now += 3_600_000 // no more than a minute's worth is saved up
    expect(Array.from({ length: 7 }, take).filter(({ ok }) => ok)).toHaveLength(6)
  })

  test('of concurrent requests is free again at their end, once', () => {
    const limits = createRateLimits({ concurrent: 2 })
    const [first, second, third] = [1, 2, 3].map(() => limits.take(id('a')))
    expect([first?.ok, second?.ok, third?.ok]).toEqual([true, true, false])
    if (!first?.ok) throw new Error('refused')
    first.ticket.end()
    first.ticket.end()
    expect([limits.take(id('a')).ok, limits.take(id('a')).ok]).toEqual([true, false])
  })

  test('that was taken by mistake is given back', () => {
    const limits = createRateLimits({ requestsPerMinute: 1, concurrent: 1 }, () => 0)
    const taken = limits.take(id('a'))
    if (!taken.ok) throw new Error('refused')
    taken.ticket.giveBack()
    taken.ticket.end()
    expect([limits.take(id('a')).ok, limits.take(id('a')).ok]).toEqual([true, false])
  })

  test('is remembered for many channels and not for all: a busy one stays', () => {
    const limits = createRateLimits({ concurrent: 1 }, () => 0)
    limits.take(id('ff'))
    for (let index = 0; index < 100_001; index += 1) {
      const taken = limits.take(id(index.toString(16).padStart(8, '0')))
      if (taken.ok) taken.ticket.end()
    }
    expect(limits.take(id('ff')).ok).toBe(false)
  })

  test.each([0, -1, 1.5, Number.NaN])('of %d is refused at the start', (value) => {
    expect(() => createRateLimits({ requestsPerMinute: value })).toThrow(/limits.requestsPerMinute/)
    expect(() => createRateLimits({ concurrent: value })).toThrow(/limits.concurrent/)
  })
})

describe('on a provider', () => {
  const price = Usdc.parse('0.001')
  let fixture: Fixture
  beforeAll(async () => {
    fixture = await startFixture()
  })
  afterAll(() => fixture?.close())

  const ask = (paywall: Paywall, headers: Record<string, string>, work = async () => new Response('paid')) =>
    paywall.handle(new Request('http://p.test/joke', { headers }), price, work)
  const code = (response: Response) => response.headers.get('X-DRAIN-Error')
  const rising = (channel: OpenChannel) => {
    let amount = 0n
    return () => {
      amount += price
      return channel.voucher(amount)
    }
  }

  test('a request over the limit is refused before it burns or reserves anything', async () => {
    const paywall = fixture.paywall({ limits: { requestsPerMinute: 2 } })
    const channel = await fixture.open()
    const voucher = rising(channel)
    expect((await ask(paywall, await voucher())).status).toBe(200)
    expect((await ask(paywall, await voucher())).status).toBe(200)
    const third = await voucher()
    const refused = await ask(paywall, third)
    expect([refused.status, code(refused)]).toEqual([429, 'rate_limited'])
    expect(Number(refused.headers.get('Retry-After'))).toBeGreaterThan(1)
    const state = await paywall.ledger.get(channel.id)
    expect(state).toMatchObject({ authorized: 2n * price, charged: 2n * price, reserved: 0n, nonce: 2n })
    // The same voucher is good elsewhere: nothing was burned.
    const channelElsewhere = await fixture.open()
    expect((await ask(paywall, await channelElsewhere.voucher(price))).status).toBe(200)
  })

  test('a stranger who knows the channel’s id takes nothing of its budget', async () => {
    const paywall = fixture.paywall({ limits: { requestsPerMinute: 1 } })
    const channel = await fixture.open()
    for (let count = 0; count < 20; count += 1) {
      const forged = await channel.voucher(price, { signer: fixture.stranger, nonce: BigInt(count) })
      expect(code(await ask(paywall, forged))).toBe('invalid_signature')
    }
    expect((await ask(paywall, await channel.voucher(price, { nonce: 100n }))).status).toBe(200)
  })

  test('nor does one who replays a voucher that it has seen', async () => {
    const paywall = fixture.paywall({ limits: { requestsPerMinute: 2 } })
    const channel = await fixture.open()
    const seen = await channel.voucher(price)
    expect((await ask(paywall, seen)).status).toBe(200)
    for (let count = 0; count < 20; count += 1) expect(code(await ask(paywall, seen))).toBe('invalid_nonce')
    expect((await ask(paywall, await channel.voucher(2n * price))).status).toBe(200)
  })

  test('nor by its keys and bodies: old answers, bodies too large, bodies that never end', async () => {
    const paywall = fixture.paywall({ limits: { requestsPerMinute: 3, concurrent: 1 } })
    const channel = await fixture.open()
    const post = (headers: Record<string, string>, key: string, body: RequestInit['body'] = 'x') =>
      paywall.handle(
        new Request('http://p.test/joke', {
          ...{ method: 'POST', headers: { ...headers, 'Idempotency-Key': key }, body },
          duplex: 'half',
        } as RequestInit),
        price,
        () => new Response('paid'),
      )
    const seen = await channel.voucher(price)
    expect((await post(seen, 'first')).status).toBe(200)
    for (let count = 0; count < 5; count += 1) {
      expect((await post(seen, 'first')).headers.get('Idempotency-Replayed')).toBe('true')
      expect(code(await post(seen, 'first', 'another'))).toBe('idempotency_mismatch')
      expect((await post(seen, `large ${count}`, 'x'.repeat(1_024 * 1_024 + 1))).status).toBe(413)
      expect(code(await post(seen, `used ${count}`))).toBe('invalid_nonce')
    }
    let isRead = false
    let end = () => {}
    const slow = post(
      seen,
      'slow',
      new ReadableStream({
        pull(controller) {
          isRead = true
          return new Promise<void>((resolve) => {
            end = () => {
              controller.close()
              resolve()
            }
          })
        },
      }),
    )
    await expect.poll(() => isRead).toBe(true)
    expect((await ask(paywall, await channel.voucher(2n * price))).status).toBe(200)
    end()
    expect(code(await slow)).toBe('invalid_nonce')
    expect((await ask(paywall, await channel.voucher(3n * price))).status).toBe(200)
    expect(code(await ask(paywall, await channel.voucher(4n * price)))).toBe('rate_limited')
  })

  test('a retry of a request that is being answered takes nothing either', async () => {
    const paywall = fixture.paywall({ limits: { requestsPerMinute: 2 } })
    const channel = await fixture.open()
    const headers = { ...(await channel.voucher(price)), 'Idempotency-Key': 'slow' }
    let finish: (response: Response) => void = () => {}
    const first = ask(
      paywall,
      headers,
      () =>
        new Promise((resolve) => {
          finish = resolve
        }),
    )
    await expect.poll(async () => (await paywall.ledger.get(channel.id))?.reserved).toBe(price)
    for (let count = 0; count < 5; count += 1)
      expect(code(await ask(paywall, headers))).toBe('idempotency_in_flight')
    finish(new Response('paid'))
    expect((await first).status).toBe(200)
    expect((await ask(paywall, await channel.voucher(2n * price))).status).toBe(200)
  })

  test('vouchers without a request have a budget of their own, for their channel’s consumer only', async () => {
    const paywall = fixture.paywall({ limits: { requestsPerMinute: 1, concurrent: 1 } })
    const channel = await fixture.open()
    const raise = async (headers: Record<string, string>) =>
      (await paywall.endpoints(
        new Request('http://p.test/v1/vouchers', { method: 'POST', headers }),
      )) as Response
    const seen = await channel.voucher(price)
    expect((await raise(seen)).status).toBe(200)
    for (let count = 0; count < 20; count += 1) expect(code(await raise(seen))).toBe('invalid_nonce')
    const statuses: number[] = []
    for (let count = 0; count < 12; count += 1)
      statuses.push((await raise(await channel.voucher(price))).status)
    expect(statuses).toEqual([...Array(9).fill(200), 429, 429, 429])
    const refused = await raise(await channel.voucher(price))
    expect([code(refused), Number(refused.headers.get('Retry-After')) > 1]).toEqual(['rate_limited', true])
    expect((await ask(paywall, await channel.voucher(price))).status).toBe(200)
  })

  test('requests at the same time are counted until they are charged', async () => {
    const paywall = fixture.paywall({ limits: { concurrent: 1 } })
    const channel = await fixture.open()
    const voucher = rising(channel)
    let finish: (response: Response) => void = () => {}
    const started = new Promise<void>((resolve) => {
      void voucher().then((headers) =>
        ask(paywall, headers, () => {
          resolve()
          return new Promise((done) => {
            finish = done
          })
        }),
      )
    })
    await started
    expect(code(await ask(paywall, await voucher()))).toBe('rate_limited')
    finish(new Response('paid'))
    await expect.poll(async () => (await paywall.ledger.get(channel.id))?.charged).toBe(price)
    expect((await ask(paywall, await voucher())).status).toBe(200)
    // One that is refused for funds ends too.
    const other = await fixture.open()
    expect(code(await ask(paywall, await other.voucher(1n)))).toBe('insufficient_funds')
    expect((await ask(paywall, await other.voucher(price))).status).toBe(200)
  })

  test('they are advertised', async () => {
    const paywall = fixture.paywall({ limits: { requestsPerMinute: 60 } })
    const response = await paywall.endpoints(new Request('http://p.test/v1/pricing'))
    expect(await response?.json()).toMatchObject({ terms: { limits: { requestsPerMinute: 60 } } })
  })
})
