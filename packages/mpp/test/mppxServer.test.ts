/** `drain/session` as a method of mppx's own server, on our ledger. */
import { session } from '@drain/mpp/server'
import type { Paywall } from '@drain/provider'
import { Challenge, Receipt } from 'mppx'
import { Mppx } from 'mppx/server'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Fixture, type OpenChannel, startFixture } from '../../provider/test/fixture.ts'
import { challengeOf, credential, gaslessOpening, voucherFields } from './credentials.ts'

const url = 'https://api.example/joke'
const secretKey = 'a secret of tests, at least 32 bytes'

let fixture: Fixture
let paywall: Paywall
let serve: (request: Request, amount?: string) => Promise<Response>
let channel: OpenChannel
let works = 0
beforeAll(async () => {
  fixture = await startFixture()
  paywall = fixture.paywall({ relay: { nativePrice: '0.25' } })
  const mppx = Mppx.create({ methods: [session({ paywall })], secretKey })
  serve = async (request, amount = '0.001') => {
    const result = await mppx.drain.session({ amount })(request)
    if (result.status === 402) return result.challenge
    if (request.method === 'HEAD' || isClose) return result.withReceipt()
    works += 1
    return result.withReceipt(new Response('a joke'))
  }
})
afterAll(() => fixture?.close())
let isClose = false
beforeEach(async () => {
  works = 0
  isClose = false
  channel = await fixture.open()
})

const challenged = async (amount?: string) => challengeOf(await serve(new Request(url), amount))

async function pay(payload: unknown, init: RequestInit = {}, amount?: string) {
  const Authorization = credential(await challenged(amount), payload)
  return serve(new Request(url, { ...init, headers: { Authorization } }), amount)
}

const voucher = async (amount: bigint, options?: Parameters<OpenChannel['voucher']>[1]) => ({
  action: 'voucher',
  ...(await voucherFields(channel, amount, options)),
})

test('its challenge is that of our paywall, but for the realm’s form', async () => {
  const challenge = await challenged()
  expect(Challenge.verify(challenge, { secretKey })).toBe(true)
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
})

describe('a voucher', () => {
  test('pays, once, and is receipted', async () => {
    const payload = await voucher(5_000n)
    const response = await pay(payload)
    expect(await response.text()).toBe('a joke')
    expect(Receipt.fromResponse(response)).toMatchObject({
      ...{
        method: 'drain',
        intent: 'session',
        channelId: channel.id,
        acceptedCumulative: '5000',
        spent: '1000',
      },
    })
    expect((await pay(payload)).status).toBe(402)
    expect((await paywall.ledger.get(channel.id))?.charged).toBe(1_000n)
    expect(works).toBe(1)
  })

  test('lower than the highest is paid from headroom; a header’s, too', async () => {
    await pay(await voucher(5_000n))
    expect(Receipt.fromResponse(await pay(await voucher(1n)))).toMatchObject({ spent: '2000' })
    const headers = await channel.voucher(2n)
    const direct = await paywall.handle(new Request(url, { headers }), 1_000n, () => new Response('a joke'))
    expect(direct.headers.get('X-DRAIN-Total')).toBe('3000')
  })

  test('under a challenge of a cheaper request pays the price of its own', async () => {
    const Authorization = credential(await challenged(), await voucher(5_000n))
    const response = await serve(new Request(url, { headers: { Authorization } }), '0.004')
    expect(Receipt.fromResponse(response)).toMatchObject({ spent: '4000' })
  })

  test('with HEAD raises and charges nothing', async () => {
    const response = await pay(await voucher(5_000n), { method: 'HEAD' })
    expect(response.status).toBe(204)
    expect(Receipt.fromResponse(response)).toMatchObject({ acceptedCumulative: '5000', spent: '0' })
  })

  test('of twenty copies at once, one is served', async () => {
    const Authorization = credential(await challenged(), await voucher(50_000n))
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => serve(new Request(url, { headers: { Authorization } }))),
    )
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
  })

  test('that can’t pay is refused with the problem types of sessions', async () => {
    const unknown = { ...(await voucher(1_000n)), channelId: `0x${'12'.repeat(32)}` }
    const cases: [payload: object, status: number, type: string][] = [
      [await voucher(500n), 402, 'session/insufficient-balance'],
      [await voucher(2_000_000n), 402, 'session/amount-exceeds-deposit'],
      [await voucher(1_000n, { signer: fixture.stranger }), 402, 'session/invalid-signature'],
      [unknown, 410, 'session/channel-not-found'],
      [{ ...unknown, more: '1' }, 402, 'invalid-payload'],
    ]
    for (const [payload, status, type] of cases) {
      const response = await pay(payload)
      expect(response.status, type).toBe(status)
      expect(await response.json()).toMatchObject({
        type: `https://paymentauth.org/problems/${type}`,
        status,
      })
    }
    expect(works).toBe(0)
  })
})

test('an open with an authorization is sent by the provider', async () => {
  const { channelId, authorization, voucher } = await gaslessOpening(fixture)
  const response = await pay({
    action: 'open',
    type: 'authorization',
    ...(await voucher(2_000n)),
    authorization,
  })
  expect(response.status).toBe(200)
  const receipt = Receipt.fromResponse(response) as Receipt.Receipt & { txHash: `0x${string}` }
  expect(receipt).toMatchObject({ channelId, spent: '1000' })
  const mined = await fixture.chain.publicClient.getTransactionReceipt({ hash: receipt.txHash })
  expect(mined.status).toBe('success')
})

test('a close settles, and answers in the application’s place', async () => {
  await pay(await voucher(5_000n))
  isClose = true
  const response = await pay({ action: 'close', channelId: channel.id, ...(await channel.request('close')) })
  expect(response.status).toBe(200)
  expect(await response.json()).toMatchObject({ channelId: channel.id, finalAmount: '1000' })
  expect(Receipt.fromResponse(response)).toMatchObject({ channelId: channel.id, spent: '1000' })
  const refused = await pay(await voucher(6_000n))
  expect(refused.status).toBe(410)
})
