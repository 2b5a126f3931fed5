/** The actions `open` and `close` of `drain/session` at our paywall. */
import { drainSession } from '@drain/mpp/server'
import { Receipt } from 'mppx'
import { generatePrivateKey } from 'viem/accounts'
import { describe, expect, test } from 'vitest'
import { startRpcProxy } from '../../provider/test/RpcProxy.ts'
import { credential, gaslessOpening, voucherFields } from './credentials.ts'
import {
  challenged,
  channel,
  fixture,
  pay,
  price,
  refusalOf,
  selling,
  url,
  voucher,
  works,
} from './sellingSessions.ts'

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

  test('that nobody signed asks no node; others have their address’s share of the questions', async () => {
    const proxy = await startRpcProxy(fixture.chain.rpcUrl)
    const other = selling({ rpcUrl: proxy.url })
    const challenge = await challenged(other)
    const { signature } = await voucherFields(channel, 1_000n)
    const before = proxy.count('eth_call')
    const codes = async (signature: string) => {
      const fields = { action: 'open', type: 'hash', cumulativeAmount: '1000', nonce: '1', signature }
      const answers = Array.from({ length: 40 }, async () => {
        const Authorization = credential(challenge, { ...fields, channelId: generatePrivateKey() })
        const request = new Request(url, { headers: { Authorization } })
        return other.handle(request, price, () => new Response('a joke'), { remoteAddress: '9.9.9.9' })
      })
      return (await Promise.all(answers)).map(({ headers }) => headers.get('X-DRAIN-Error'))
    }
    expect(new Set(await codes(`0x${'00'.repeat(65)}`))).toEqual(new Set(['invalid_signature']))
    expect(proxy.count('eth_call')).toBe(before)
    expect(await codes(signature)).toContain('rate_limited')
    expect(proxy.count('eth_call') - before).toBeLessThan(30)
    await proxy.close()
  })

  test('is held with fifteen others of its address; the next are told at once to come again', async () => {
    const patient = selling({ confirmations: () => 3n }, drainSession({ openPatienceMs: 60_000 }))
    const fresh = await fixture.open()
    const challenge = await challenged(patient)
    const settled: Response[] = []
    const open = async (amount: bigint, remoteAddress: string) => {
      const payload = { action: 'open', type: 'hash', ...(await voucherFields(fresh, amount)) }
      const request = new Request(url, { headers: { Authorization: credential(challenge, payload) } })
      const response = await patient.handle(request, price, () => new Response('a joke'), { remoteAddress })
      settled.push(response)
      return response.status
    }
    const many = Array.from({ length: 20 }, (_, index) => open(BigInt(index + 1) * price, '9.9.9.9'))
    await expect.poll(() => settled.length).toBe(4)
    expect(settled.map(({ status, headers }) => [status, headers.get('Retry-After')])).toEqual(
      Array(4).fill([402, '1']),
    )
    const other = open(21n * price, '8.8.8.8')
    await fixture.chain.testClient.mine({ blocks: 3 })
    const statuses = await Promise.all([...many, other])
    expect(statuses.filter((status) => status === 200)).toHaveLength(17)
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
