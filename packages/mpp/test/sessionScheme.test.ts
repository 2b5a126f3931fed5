/** `drain/session` at our paywall, paid with credentials that mppx has written. */
import { Headers as Wire } from '@drain/core'
import { drainSession } from '@drain/mpp/server'
import { type Paywall, type PaywallConfig, sse } from '@drain/provider'
import { Challenge, Credential, Receipt } from 'mppx'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Fixture, type OpenChannel, startFixture } from '../../provider/test/fixture.ts'
import { challengeOf, credential, gaslessOpening, voucherFields } from './credentials.ts'

const url = 'https://api.example/joke'
const price = 1_000n
const secret = 'a secret of tests, at least 32 bytes'

let fixture: Fixture
let paywall: Paywall
let channel: OpenChannel
let works = 0
beforeAll(async () => {
  fixture = await startFixture()
  paywall = selling()
})
afterAll(() => fixture?.close())
beforeEach(async () => {
  works = 0
  channel = await fixture.open()
})

const selling = (options: Partial<PaywallConfig> = {}, scheme = drainSession()) =>
  fixture.paywall({ schemes: [scheme], relay: { nativePrice: '0.25' }, ...options })

function ask(headers: Record<string, string> = {}, init: RequestInit = {}, to = paywall, quote = price) {
  return to.handle(new Request(url, { ...init, headers }), quote, () => {
    works += 1
    return new Response('a joke')
  })
}

async function challenged(to = paywall): Promise<Challenge.Challenge> {
  return challengeOf(await ask({}, {}, to))
}

async function pay(
  payload: unknown,
  headers: Record<string, string> = {},
  init: RequestInit = {},
  to = paywall,
) {
  const Authorization = credential(await challenged(to), payload)
  return ask({ Authorization, ...headers }, init, to)
}

const voucher = async (amount: bigint, options?: Parameters<OpenChannel['voucher']>[1]) => ({
  action: 'voucher',
  ...(await voucherFields(channel, amount, options)),
})

/** What a refusal says, to readers of either kind. */
async function refusalOf(response: Response) {
  const body = await response.json()
  const { status, headers } = response
  expect(headers.get('Content-Type')).toBe('application/problem+json')
  expect(body.status).toBe(status)
  expect(body.detail).toBe(body.error.message)
  expect(headers.get(Wire.names.error[0])).toBe(body.error.code)
  expect(headers.has('Payment-Receipt')).toBe(false)
  const type = body.type.replace('https://paymentauth.org/problems/', '')
  return { status, type, code: body.error.code, offers: headers.has('WWW-Authenticate') }
}

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

describe('an open', () => {
  test('with its first voucher is a voucher', async () => {
    const fields = { action: 'open', type: 'hash', ...(await voucherFields(channel, 2_000n)) }
    expect((await pay({ ...fields, hash: `0x${'ab'.repeat(32)}` })).status).toBe(200)
  })

  test('with an authorization is sent by the provider, and pays at once', async () => {
    const opening = await gaslessOpening(fixture)
    const { authorization } = opening
    const payload = {
      action: 'open',
      type: 'authorization',
      ...(await opening.voucher(2_000n)),
      authorization,
    }
    const headers = { 'Idempotency-Key': 'open' }
    const response = await pay(payload, headers)
    expect(response.status).toBe(200)
    const receipt = Receipt.fromResponse(response) as Receipt.Receipt & { txHash: `0x${string}` }
    expect(receipt).toMatchObject({ channelId: opening.channelId, spent: '1000' })
    const mined = await fixture.chain.publicClient.getTransactionReceipt({ hash: receipt.txHash })
    expect(mined.status).toBe('success')
    const before = await fixture.sent()
    expect((await pay(payload, headers)).headers.get('Idempotency-Replayed')).toBe('true')
    const next = await pay({ ...payload, ...(await opening.voucher(3_000n, 2n)) })
    expect(Receipt.fromResponse(next)).toMatchObject({ spent: '2000' })
    expect(await fixture.sent()).toBe(before)
  })

  test('spends no gas for a voucher that would not be taken', async () => {
    const opening = await gaslessOpening(fixture)
    const { authorization } = opening
    const before = await fixture.sent()
    const open = async (changes: object) =>
      refusalOf(
        await pay({
          action: 'open',
          type: 'authorization',
          ...(await opening.voucher(2_000n)),
          authorization,
          ...changes,
        }),
      )
    expect(await open(await opening.voucher(500n))).toMatchObject({ type: 'session/insufficient-balance' })
    expect(await open(await opening.voucher(2_000_000n))).toMatchObject({
      type: 'session/amount-exceeds-deposit',
    })
    expect(await open({ signature: (await voucher(1n)).signature })).toMatchObject({
      type: 'session/invalid-signature',
    })
    expect(await open(await voucherFields(channel, 2_000n))).toMatchObject({ type: 'invalid-payload' })
    expect(await open({ authorization: { ...authorization, amount: '5' } })).toMatchObject({ status: 402 })
    expect(await open({ authorization: { ...authorization, more: '5' } })).toMatchObject({
      type: 'invalid-payload',
    })
    expect(await fixture.sent()).toBe(before)
  })

  test('that was sent before is not sent again, also when its time is over', async () => {
    const opening = await gaslessOpening(fixture)
    const { authorization, voucher } = opening
    const payload = { action: 'open', type: 'authorization', ...(await voucher(500n)), authorization }
    const raised = await pay(payload, {}, { method: 'HEAD' })
    expect(raised.status).toBe(204)
    expect(raised.headers.get('Payment-Receipt')).toBeTruthy()
    const before = await fixture.sent()
    const later = selling({ clock: () => Date.now() + 400_000 })
    const again = await pay({ ...payload, ...(await voucher(2_000n, 2n)) }, {}, {}, later)
    expect(again.status).toBe(200)
    expect(await fixture.sent()).toBe(before)
  })

  test('waits for its confirmations, and is told to come again where that takes long', async () => {
    const { mine } = fixture.chain.testClient
    const patient = selling({ confirmations: () => 3n })
    const opening = await gaslessOpening(fixture)
    const payload = async ({ voucher, authorization }: typeof opening) => ({
      ...{ action: 'open', type: 'authorization', ...(await voucher(2_000n)), authorization },
    })
    const answer = pay(await payload(opening), {}, {}, patient)
    await expect
      .poll(() => patient.lookUp(opening.channelId))
      .toMatchObject({ rejection: { isPassing: true } })
    await mine({ blocks: 3 })
    expect((await answer).status).toBe(200)

    const hasty = selling({ confirmations: () => 3n }, drainSession({ openPatienceMs: 0 }))
    const another = await gaslessOpening(fixture)
    const refused = await pay(await payload(another), {}, {}, hasty)
    expect(refused.headers.get('Retry-After')).toBe('1')
    expect(await refusalOf(refused)).toMatchObject({ status: 402, type: 'payment-action-required' })
    await mine({ blocks: 3 })
    const { authorization: _, ...fields } = await payload(another)
    await expect.poll(async () => (await pay({ ...fields, type: 'hash' }, {}, {}, hasty)).status).toBe(200)
  })

  test('that the provider sends for nobody is refused', async () => {
    const alone = selling({ relay: undefined })
    const { authorization, voucher } = await gaslessOpening(fixture)
    const payload = { action: 'open', type: 'authorization', ...(await voucher(2_000n)), authorization }
    expect(await refusalOf(await pay(payload, {}, {}, alone))).toMatchObject({ type: 'invalid-payload' })
  })
})

describe('a close', () => {
  test('settles, tells how, and leaves no service behind', async () => {
    expect((await pay(await voucher(5_000n))).status).toBe(200)
    const payload = { action: 'close', channelId: channel.id, ...(await channel.request('close')) }
    const response = await pay(payload)
    expect(response.status).toBe(200)
    const closing = await response.json()
    expect(closing).toMatchObject({ channelId: channel.id, finalAmount: '1000' })
    const receipt = Receipt.fromResponse(response) as Receipt.Receipt & { txHash?: string }
    expect(receipt).toMatchObject({ channelId: channel.id, spent: '1000', acceptedCumulative: '5000' })
    expect(receipt.txHash).toBe(closing.txHash)
    expect(await (await pay(payload)).json()).toEqual(closing)
    expect(works).toBe(1)
    expect(await refusalOf(await pay(await voucher(6_000n)))).toMatchObject({
      status: 410,
      type: 'session/channel-finalized',
      offers: false,
    })
  })

  test('by a stranger is refused', async () => {
    const signed = await channel.request('close', { signer: fixture.stranger })
    const refused = await pay({ action: 'close', channelId: channel.id, ...signed })
    expect(await refusalOf(refused)).toMatchObject({ status: 402, code: 'invalid_signature' })
    expect((await pay(await voucher(5_000n))).status).toBe(200)
  })
})

describe('refused with a problem and a fresh challenge', () => {
  test('are vouchers that the ledger or the verifier refuses', async () => {
    const cases: [payload: object, expected: object][] = [
      [await voucher(500n), { type: 'session/insufficient-balance', code: 'insufficient_funds' }],
      [await voucher(2_000_000n), { type: 'session/amount-exceeds-deposit', code: 'exceeds_deposit' }],
      [await voucher(1_000n, { signer: fixture.stranger }), { type: 'session/invalid-signature' }],
    ]
    for (const [payload, expected] of cases) {
      expect(await refusalOf(await pay(payload))).toEqual({
        ...{ status: 402, offers: true, code: 'invalid_signature' },
        ...expected,
      })
    }
    const used = await voucher(1_000n)
    expect((await pay(used)).status).toBe(200)
    expect(await refusalOf(await pay(used))).toMatchObject({
      type: 'verification-failed',
      code: 'invalid_nonce',
    })
    const unknown = { ...channel, id: `0x${'12'.repeat(32)}` as const }
    const { signature } = await voucher(1n)
    const payload = {
      action: 'voucher',
      channelId: unknown.id,
      cumulativeAmount: '1000',
      nonce: '9',
      signature,
    }
    expect(await refusalOf(await pay(payload))).toMatchObject({
      status: 410,
      type: 'session/channel-not-found',
      offers: false,
    })
    expect(works).toBe(1)
  })

  test('are payloads that say more or less than they must', async () => {
    const good = await voucher(1_000n)
    const { signature: _, ...short } = good
    for (const payload of [
      short,
      { ...good, more: '1' },
      { ...good, action: 'topUp' },
      { ...good, cumulativeAmount: 1_000 },
      { ...good, cumulativeAmount: '01000' },
      { ...good, cumulativeAmount: (2n ** 256n).toString() },
      { ...good, nonce: (2n ** 63n).toString() },
      { ...good, channelId: '0x12' },
      { ...good, signature: '0x1' },
      { ...good, action: 'open' },
      { ...good, action: 'open', type: 'permit2' },
      { ...good, action: 'open', type: 'hash', hash: '0x12' },
      { action: 'close', channelId: channel.id, deadline: 'soon', signature: good.signature },
      {},
    ]) {
      expect(await refusalOf(await pay(payload)), JSON.stringify(payload)).toMatchObject({
        ...{ status: 402, type: 'invalid-payload', code: 'invalid_voucher_format', offers: true },
      })
    }
    expect((await pay(good)).status).toBe(200)
  })

  test('are credentials that can’t be read, and more than one payment', async () => {
    expect(await refusalOf(await ask({ Authorization: 'Payment dGhpcyBpcyBnYXJiYWdl' }))).toMatchObject({
      ...{ status: 402, type: 'malformed-credential', offers: true },
    })
    const challenge = await challenged()
    const [one, two] = [await voucher(1_000n), await voucher(2_000n)].map((payload) =>
      credential(challenge, payload),
    )
    for (const headers of [
      { Authorization: `${one}, ${two}` },
      { Authorization: one as string, 'Payment-Authorization': two as string },
      { Authorization: one as string, ...(await channel.voucher(3_000n)) },
      { 'Payment-Authorization': one as string, ...(await channel.voucher(3_000n)) },
    ]) {
      const response = await ask(headers)
      expect(response.status).toBe(400)
      expect(response.headers.get('X-DRAIN-Error')).toBe('multiple_payments')
    }
    expect(works).toBe(0)
    expect((await paywall.ledger.get(channel.id))?.nonce).toBeUndefined()
  })

  test('are challenges of others, changed ones, and those that have expired', async () => {
    const challenge = await challenged()
    const payload = await voucher(1_000n)
    const refusal = async (changed: Challenge.Challenge, to = paywall) =>
      refusalOf(await ask({ Authorization: credential(changed, payload) }, {}, to))
    const invalid = { status: 402, type: 'invalid-challenge', code: 'voucher_required', offers: true }
    expect(await refusal({ ...challenge, id: `${challenge.id.slice(0, -1)}_` })).toMatchObject(invalid)
    expect(await refusal({ ...challenge, realm: 'other.example' })).toMatchObject(invalid)
    expect(await refusal({ ...challenge, request: { ...challenge.request, amount: '1' } })).toMatchObject(
      invalid,
    )
    expect(await refusal({ ...challenge, expires: '2999-01-01T00:00:00Z' })).toMatchObject(invalid)
    const other = new Request('https://other.example/joke')
    const foreign = challengeOf(await paywall.handle(other, price, () => new Response('')))
    expect(await refusal(foreign)).toMatchObject(invalid)
    expect(await refusal(challenge, selling())).toMatchObject(invalid)
    const later = selling({ clock: () => Date.now() + 400_000 }, drainSession({ secret }))
    const kept = await challenged(selling({}, drainSession({ secret })))
    expect(await refusal(kept, later)).toMatchObject({ type: 'payment-expired' })
    // Under a secret that others share, for somebody else.
    const elsewhere = Challenge.from({
      ...{ secretKey: secret, realm: 'api.example', method: 'drain', intent: 'session' },
      request: { ...challenge.request, recipient: fixture.stranger.address },
      expires: challenge.expires,
    })
    expect(await refusal(elsewhere, selling({}, drainSession({ secret })))).toMatchObject(invalid)
    expect(works).toBe(0)
  })

  test('a credential of another method is asked for one that is offered', async () => {
    const challenge = { ...(await challenged()), method: 'tempo' }
    const response = await ask({ Authorization: Credential.serialize({ challenge, payload: {} }) })
    expect(response.status).toBe(402)
    expect(challengeOf(response).method).toBe('drain')
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
