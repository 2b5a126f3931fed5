/** `drain/session` at our paywall, paid with credentials that mppx has written. */
import { Headers as Wire } from '@drain/core'
import { drainSession } from '@drain/mpp/server'
import { type Paywall, sse } from '@drain/provider'
import { Challenge, Receipt } from 'mppx'
import { describe, expect, test } from 'vitest'
import { challengeOf, credential } from './credentials.ts'
import {
  ask,
  challenged,
  channel,
  fixture,
  pay,
  paywall,
  price,
  refusalOf,
  secret,
  selling,
  url,
  voucher,
  works,
} from './sellingSessions.ts'

describe('a request without a payment', () => {
  test('is offered the headers and a challenge that binds contract and chain', async () => {
    const response = await ask()
    expect(response.status).toBe(402)
    expect(Wire.parseOffer(response.headers)).toMatchObject({ chainId: fixture.chain.chainId })
    expect(response.headers.get('X-DRAIN-Required')).toBe('1000')
    const challenge = challengeOf(response)
    const { deployment, chainId } = fixture.chain
    expect(challenge).toMatchObject({
      realm: 'api.example',
      request: {
        amount: '1000',
        currency: deployment.token,
        recipient: fixture.provider.address,
        methodDetails: {
          chainId,
          escrowContract: deployment.contract,
          credentialTypes: ['hash', 'authorization'],
        },
      },
    })
    const life = Date.parse(challenge.expires as string) - Date.now()
    expect(life).toBeGreaterThan(299_000)
    expect(life).toBeLessThan(331_000)
    expect(await response.json()).toMatchObject({
      type: 'https://paymentauth.org/problems/payment-required',
      error: { code: 'voucher_required' },
    })
  })

  test('is asked the same as others of its price, and by every process that shares the store', async () => {
    expect((await challenged()).id).toBe((await challenged()).id)
    const other = challengeOf(await ask({}, {}, paywall, 2_000n))
    expect(other.id).not.toBe((await challenged()).id)
    expect(Challenge.verify(other, { secretKey: secret })).toBe(false)
    const configured = selling({}, drainSession({ secret: [secret, `${secret}, an older one`] }))
    expect(Challenge.verify(await challenged(configured), { secretKey: secret })).toBe(true)
  })

  test('can be told to use another header than Authorization', async () => {
    const elsewhere = selling({}, drainSession({ header: 'Payment-Authorization' }))
    const challenge = await challenged(elsewhere)
    expect(Challenge.credentialHeader(challenge)).toBe('Payment-Authorization')
    const headers = {
      Authorization: 'Bearer key',
      'Payment-Authorization': credential(challenge, await voucher(price)),
    }
    expect((await ask(headers, {}, elsewhere)).status).toBe(200)
  })

  test('a challenge is over at its end, however its fields are cut', async () => {
    let ahead = 0
    const clock = () => Date.now() + ahead
    const elsewhere = selling({ clock }, drainSession({ header: 'Payment-Authorization' }))
    const text = credential(await challenged(elsewhere), await voucher(price))
    const { challenge, payload } = JSON.parse(Buffer.from(text.slice(8), 'base64url').toString())
    const { header, ...rest } = challenge
    // The same text is signed: of the header's name and the end, each stands in the other's place.
    const cut = { ...rest, expires: `${challenge.expires}|`, digest: header, opaque: challenge.opaque ?? '' }
    const answered = async (challenge: object) => {
      const encoded = Buffer.from(JSON.stringify({ challenge, payload })).toString('base64url')
      return refusalOf(await ask({ 'Payment-Authorization': `Payment ${encoded}` }, {}, elsewhere))
    }
    ahead = 3_600_000
    expect(await answered(challenge)).toMatchObject({ type: 'payment-expired' })
    expect(await answered(cut)).toMatchObject({ type: 'invalid-challenge' })
  })

  test('a secret that is too short is refused', () => {
    expect(() => selling({}, drainSession({ secret: 'short' }))).toThrow('32 bytes')
  })
})

describe('a voucher', () => {
  test('pays, and its answer has a receipt', async () => {
    const response = await pay(await voucher(5_000n))
    expect(response.status).toBe(200)
    expect(await response.text()).toBe('a joke')
    expect(Wire.parseCosts(response.headers)).toMatchObject({ cost: price, total: price })
    expect(Receipt.fromResponse(response)).toMatchObject({
      method: 'drain',
      intent: 'session',
      status: 'success',
      reference: channel.id,
      channelId: channel.id,
      challengeId: (await challenged()).id,
      chainId: fixture.chain.chainId,
      acceptedCumulative: '5000',
      spent: '1000',
    })
  })

  test('lower than the highest is paid from headroom', async () => {
    expect((await pay(await voucher(5_000n))).status).toBe(200)
    const response = await pay(await voucher(1n))
    expect(response.status).toBe(200)
    expect(Receipt.fromResponse(response)).toMatchObject({ acceptedCumulative: '5000', spent: '2000' })
  })

  test('under a challenge of a cheaper request pays the price of its own', async () => {
    const Authorization = credential(await challenged(), await voucher(5_000n))
    const response = await ask({ Authorization }, {}, paywall, 4_000n)
    expect(response.status).toBe(200)
    expect(Receipt.fromResponse(response)).toMatchObject({ spent: '4000' })
  })

  test('and one in a header pay from the same account', async () => {
    expect((await ask(await channel.voucher(1_000n))).status).toBe(200)
    expect((await pay(await voucher(1_500n))).status).toBe(402)
    const response = await pay(await voucher(2_000n))
    expect(Receipt.fromResponse(response)).toMatchObject({ spent: '2000' })
  })

  test('is counted once, however many copies come at once', async () => {
    const Authorization = credential(await challenged(), await voucher(5_000n))
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask({ Authorization })))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(works).toBe(1)
  })

  test('is not charged for work that fails, and has no receipt then', async () => {
    const Authorization = credential(await challenged(), await voucher(5_000n))
    const request = new Request(url, { headers: { Authorization } })
    const response = await paywall.handle(request, price, () => new Response('no', { status: 500 }))
    expect(response.status).toBe(500)
    expect(response.headers.has('Payment-Receipt')).toBe(false)
    expect((await paywall.ledger.get(channel.id))?.charged).toBe(0n)
  })

  test('with HEAD, or at /v1/vouchers, raises and charges nothing', async () => {
    const raised = await pay(await voucher(5_000n), {}, { method: 'HEAD' })
    expect(raised.status).toBe(204)
    expect(Receipt.fromResponse(raised)).toMatchObject({ acceptedCumulative: '5000', spent: '0' })
    const Authorization = credential(await challenged(), await voucher(6_000n))
    const request = new Request('https://api.example/v1/vouchers', {
      method: 'POST',
      headers: { Authorization },
    })
    const response = (await paywall.endpoints(request)) as Response
    expect(response.status).toBe(200)
    expect(Receipt.fromResponse(response)).toMatchObject({ acceptedCumulative: '6000' })
    expect(await response.json()).toMatchObject({ acceptedCumulative: '6000' })
    expect(works).toBe(0)
  })

  test('is free and runs nothing when its Idempotency-Key comes again', async () => {
    const headers = { 'Idempotency-Key': 'one' }
    const init = { method: 'POST', body: 'the same' }
    const first = await pay(await voucher(5_000n), headers, init)
    expect(Receipt.fromResponse(first)).toMatchObject({ spent: '1000' })
    const again = await pay(await voucher(5_001n), headers, init)
    expect(again.status).toBe(200)
    expect(await again.text()).toBe('a joke')
    expect(again.headers.get('Idempotency-Replayed')).toBe('true')
    expect(Receipt.fromResponse(again)).toMatchObject({ spent: '1000' })
    expect(works).toBe(1)
    const other = await pay(await voucher(5_002n), headers, { ...init, body: 'another' })
    expect(await refusalOf(other)).toMatchObject({ status: 422, code: 'idempotency_mismatch' })
  })

  test('pays for a stream, whose receipts are at its head and at its end', async () => {
    const Authorization = credential(await challenged(), await voucher(5_000n))
    const request = new Request(url, { headers: { Authorization } })
    async function* events() {
      yield { data: 'a', cost: 1_000n }
      yield { data: 'b', cost: 2_000n }
    }
    const quote = { most: 4_000n, first: 1_000n }
    const response = await paywall.handle(request, quote, (payment) => sse(payment, events()))
    expect(Receipt.fromResponse(response)).toMatchObject({ acceptedCumulative: '5000', spent: '0' })
    const text = await response.text()
    const [, data] = /event: payment-receipt\ndata: (.*)\n/.exec(text) ?? []
    expect(JSON.parse(data as string)).toMatchObject({
      ...{ method: 'drain', intent: 'session', status: 'success', channelId: channel.id },
      ...{ acceptedCumulative: '5000', spent: '2000', cost: '2000', total: '2000', ended: 'complete' },
    })
  })

  test('that runs out in a stream is asked for, and raised under the same challenge', async () => {
    const challenge = await challenged()
    const Authorization = credential(challenge, await voucher(1_000n))
    async function* events() {
      yield { data: 'a', cost: 1_000n }
      yield { data: 'b', cost: 2_000n }
    }
    const quote = { most: 4_000n, first: 1_000n, step: 1_000n }
    const request = new Request(url, { headers: { Authorization } })
    const response = await paywall.handle(request, quote, (payment) => sse(payment, events()))
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    const decoder = new TextDecoder()
    let text = ''
    while (!text.includes('payment-need-voucher')) text += decoder.decode((await reader.read()).value)
    const raise = credential(challenge, await voucher(2_000n))
    expect((await ask({ Authorization: raise }, { method: 'HEAD' })).status).toBe(204)
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      text += decoder.decode(value)
    }
    expect(text).toContain('"spent":"2000"')
  })
})

test('the secret that nobody has configured is made once, and kept in the store', async () => {
  const notes = async (to: Paywall) => {
    for await (const { key, text } of to.ledger.notebook.read('mpp/')) return [key, text]
    return undefined
  }
  const own = selling()
  const challenge = await challenged(own)
  const [key, kept] = (await notes(own)) as [string, string]
  expect(key).toBe('mpp/secret')
  expect(kept).toMatch(/^[0-9a-f]{64}$/)
  expect(Challenge.verify(challenge, { secretKey: kept })).toBe(true)
})
