/** `drain/session` over real connections, behind each adapter of the paywall. */
import { drainSession } from '@drain/mpp/server'
import { Receipt } from 'mppx'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type App, adapters, serviceOf, startApp } from '../../provider/test/apps.ts'
import { type Fixture, type OpenChannel, startFixture } from '../../provider/test/fixture.ts'
import { challengeOf, credential, voucherFields } from './credentials.ts'

let fixture: Fixture
beforeAll(async () => {
  fixture = await startFixture()
})
afterAll(() => fixture?.close())

describe.each(adapters)('on %s', (adapter) => {
  let app: App
  let channel: OpenChannel
  beforeAll(async () => {
    app = await startApp(adapter, serviceOf(fixture.paywall({ schemes: [drainSession()] })))
    channel = await fixture.open()
  })
  afterAll(() => app?.close())

  async function pay(path: string, amount: bigint, init: RequestInit = {}) {
    const asked = await fetch(`${app.origin}${path}`, init.method === 'POST' ? init : {})
    const challenge = challengeOf(asked)
    expect(challenge.realm).toBe(new URL(app.origin).host)
    const payload = { action: 'voucher', ...(await voucherFields(channel, amount)) }
    const headers = { ...init.headers, Authorization: credential(challenge, payload) }
    return fetch(`${app.origin}${path}`, { ...init, headers })
  }

  test('a voucher pays, with its receipt beside the costs', async () => {
    const response = await pay('/joke', 10_000n)
    expect(await response.json()).toEqual({ joke: 'paid' })
    expect(Receipt.fromResponse(response)).toMatchObject({ spent: '1000', acceptedCumulative: '10000' })
    expect(response.headers.get('X-DRAIN-Total')).toBe('1000')
    expect(response.headers.get('Access-Control-Expose-Headers')).toContain('Payment-Receipt')
  })

  test('an answer that fails has no receipt', async () => {
    const response = await pay('/missing', 10_000n)
    expect(response.status).toBe(404)
    expect(response.headers.has('Payment-Receipt')).toBe(false)
    expect(response.headers.get('X-DRAIN-Cost')).toBe('0')
  })

  test('a stream has one in its head and one at its end', async () => {
    const response = await pay('/stream', 10_000n)
    // Node's servers send the head with the first event, which is charged by then.
    expect(['1000', '1100']).toContain((Receipt.fromResponse(response) as { spent?: string }).spent)
    expect(await response.text()).toMatch(
      /event: payment-receipt\ndata: .*"ended":"complete".*"spent":"1300"/,
    )
  })

  test('an answer that is given again has the receipt of now', async () => {
    const init = {
      method: 'POST',
      body: 'two',
      headers: { 'Idempotency-Key': 'a', 'Content-Type': 'text/plain' },
    }
    const first = await pay('/orders', 10_000n, init)
    const again = await pay('/orders', 10_001n, init)
    expect(again.headers.get('Idempotency-Replayed')).toBe('true')
    expect(await again.text()).toBe(await first.text())
    expect(Receipt.fromResponse(first)).toMatchObject({ spent: '2300', acceptedCumulative: '10000' })
    expect(Receipt.fromResponse(again)).toMatchObject({ spent: '2300' })
  })

  test('a HEAD with a voucher raises, and one that can’t pay is refused with a problem', async () => {
    expect((await pay('/joke', 20_000n, { method: 'HEAD' })).status).toBe(204)
    const response = await pay('/joke', 2_000_000n)
    expect(response.status).toBe(402)
    expect(response.headers.get('Content-Type')).toBe('application/problem+json')
    expect(challengeOf(response).method).toBe('drain')
    expect((await response.json()).type).toContain('amount-exceeds-deposit')
  })

  test('credentials that repeat a header are two payments', async () => {
    const challenge = challengeOf(await fetch(`${app.origin}/joke`))
    const write = async (amount: bigint) =>
      credential(challenge, { action: 'voucher', ...(await voucherFields(channel, amount)) })
    const headers = new Headers({ Authorization: await write(30_000n) })
    headers.append('Authorization', await write(31_000n))
    const response = await fetch(`${app.origin}/joke`, { headers })
    expect(response.status).toBe(400)
    expect(response.headers.get('X-DRAIN-Error')).toBe('multiple_payments')
  })
})
