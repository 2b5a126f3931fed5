/** What `drain/session` refuses at our paywall, and how it tells. */
import { drainSession } from '@drain/mpp/server'
import { Challenge, Credential } from 'mppx'
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
  voucher,
  works,
} from './sellingSessions.ts'

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
