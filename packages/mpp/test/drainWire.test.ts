/** `createDrainClient` against a provider that runs mppx's own server: what it sends and signs, also when the provider lies. */
import { createDrainClient, type DrainClient, type DrainClientOptions, memoryStore } from '@drain/consumer'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { LimitExceededError, PaymentRejectedError, UntrustedProviderError, Usdc } from '@drain/core'
import { drainWire } from '@drain/mpp/client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { serve } from '../../consumer/test/serve.ts'
import { type MppxProvider, refusal, startMppxProvider } from './MppxProvider.ts'

let chain: LocalChain
let provider: MppxProvider
let client: DrainClient
/** Unix milliseconds that the wire's clock is ahead. */
let ahead: number
beforeAll(async () => {
  chain = await startLocalChain()
})
afterAll(() => chain.close())
beforeEach(async () => {
  ahead = 0
  provider = await startMppxProvider(chain, chain.accounts[1])
  client = createClient()
})
afterEach(() => provider.close())

function createClient(options: Partial<DrainClientOptions> = {}) {
  return createDrainClient({
    walletClient: chain.walletClient(chain.accounts[0]),
    deployment: chain.deployment,
    limits: { perRequest: '0.05', perChannel: '5' },
    wires: [drainWire({ now: () => Date.now() + ahead })],
    ...options,
  })
}

const url = (path: string) => `${provider.origin}${path}`
const steps = () =>
  provider.seen.map(({ method, path, credential }) => `${method} ${path}${credential ? ' paid' : ''}`)
const amounts = () => provider.vouchers().map(({ amount }) => amount)
const signed = async () => Usdc.parse((await client.spending()).signed)
const blocks = () => chain.publicClient.getBlockNumber()

/** Answers paid requests only. */
function answerPaid(answer: () => Response | undefined): void {
  provider.instead = (_, { credential }) => (credential ? answer() : undefined)
}

describe('an honest provider', () => {
  test('is paid after one question, and from then on in one round trip', async () => {
    for (let index = 0; index < 3; index++) {
      expect(await (await client.fetch(url('/joke'))).json()).toEqual({ paid: '0.001' })
    }
    expect(steps()).toEqual([
      'GET /joke',
      'GET /v1/pricing',
      'GET /joke paid',
      'GET /joke paid',
      'GET /joke paid',
    ])
    expect(amounts()).toEqual([1_000n, 2_000n, 3_000n])
    expect(await client.spending()).toMatchObject({ charged: '0.003', signed: '0.003' })
    expect(await provider.charged()).toBe(3_000n)
  })

  test('asks for each route once, and is sent no more than what it charges', async () => {
    await client.fetch(url('/a'))
    await client.fetch(url('/b'))
    await Promise.all([1, 2, 3, 4].map(() => client.fetch(url('/a'))))
    expect(steps().filter((step) => !step.endsWith('paid'))).toEqual(['GET /a', 'GET /v1/pricing', 'GET /b'])
    expect(await signed()).toBe(await provider.charged())
    expect(await client.channels()).toHaveLength(1)
  })

  test('is asked again when a challenge has run out', async () => {
    await client.fetch(url('/joke'))
    ahead = 299_000
    await client.fetch(url('/joke'))
    expect(steps().slice(3)).toEqual(['GET /joke', 'GET /joke paid'])
  })

  test('that takes no more of an old challenge is paid by a fresh one, with the same amount', async () => {
    await client.fetch(url('/joke'))
    provider.secret = 'another secret of tests, 32 bytes and more'
    expect((await client.fetch(url('/joke'))).status).toBe(200)
    expect(steps().slice(3)).toEqual(['GET /joke paid', 'GET /joke paid'])
    expect(amounts()).toEqual([1_000n, 2_000n, 2_000n])
  })

  test('that raises its price gets that, within the limit', async () => {
    await client.fetch(url('/joke'))
    provider.price = '0.005'
    expect((await client.fetch(url('/joke'))).status).toBe(200)
    expect(amounts()).toEqual([1_000n, 2_000n, 6_000n])
    expect(await signed()).toBe(await provider.charged())
    provider.price = '0.051'
    await expect(client.fetch(url('/joke'))).rejects.toThrow(LimitExceededError)
    expect(await signed()).toBe(11_000n)
  })

  test('is known by its wire in another process, and asked for a challenge first', async () => {
    const store = memoryStore()
    await createClient({ store }).fetch(url('/joke'))
    const other = createClient({ store })
    await other.fetch(url('/joke'))
    await other.fetch(url('/joke'))
    expect(steps().filter((step) => step.endsWith('paid'))).toHaveLength(3)
    expect(await other.channels()).toHaveLength(1)
    expect(provider.seen.some(({ headers }) => headers.has('X-DRAIN-Voucher'))).toBe(false)
  })

  test('that says a channel is gone (410), which isn’t, gets no other', async () => {
    await client.fetch(url('/joke'))
    const [first] = await client.channels()
    const id = first?.channelId
    const problem = { type: 'https://paymentauth.org/problems/session/channel-finalized' }
    const headers = { 'Content-Type': 'application/problem+json' }
    answerPaid(() => new Response(JSON.stringify(problem), { status: 410, headers }))
    await expect(client.fetch(url('/joke'))).rejects.toMatchObject({ channelId: id })
    expect(await signed()).toBe(2_000n)
  })

  test('that doesn’t see the channel yet is asked once more, with the same amount', async () => {
    let isSeen = false
    answerPaid(() => {
      if (isSeen) return undefined
      isSeen = true
      return refusal(provider.challenge(), {
        type: 'https://paymentauth.org/problems/payment-action-required',
        details: { code: 'channel_not_found' },
      })
    })
    expect((await client.fetch(url('/joke'))).status).toBe(200)
    expect(amounts()).toEqual([1_000n, 1_000n])
  })

  test('an answer of 410 of the application’s own is an answer', async () => {
    await client.fetch(url('/joke'))
    answerPaid(() => new Response('gone', { status: 410 }))
    expect((await client.fetch(url('/joke'))).status).toBe(410)
  })

  test('whoever pays by hand isn’t paid for again', async () => {
    for (const name of ['Authorization', 'Payment-Authorization']) {
      const response = await client.fetch(url('/joke'), { headers: { [name]: 'Payment e30' } })
      expect(response.status).toBe(402)
    }
    expect(await client.channels()).toEqual([])
  })

  test('gets the credential in the header that it asks for', async () => {
    provider.instead = (_, { credential }) =>
      credential ? undefined : refusal(provider.challenge({ header: 'Payment-Authorization' }))
    await client.fetch(url('/joke'), { headers: { Authorization: 'Bearer key' } }).catch(() => {})
    expect(provider.seen.at(-1)?.headers.get('Authorization')).toBe('Bearer key')
    expect(provider.seen.at(-1)?.headers.get('Payment-Authorization')).toMatch(/^Payment /)
  })
})

describe('a hostile provider', () => {
  test('that always answers 402 gets the price of one request', async () => {
    await client.fetch(url('/joke'))
    const types = [
      'payment-required',
      'invalid-challenge',
      'payment-expired',
      'verification-failed',
      'session/insufficient-balance',
      'session/invalid-signature',
      'nonsense',
    ]
    for (const type of types) {
      answerPaid(() =>
        refusal(provider.challenge(), { type: `https://paymentauth.org/problems/${type}`, status: 402 }),
      )
      for (let index = 0; index < 3; index++) {
        await expect(client.fetch(url('/joke'))).rejects.toThrow(PaymentRejectedError)
      }
    }
    expect(await signed()).toBe(2_000n)
    expect(await client.channels()).toHaveLength(1)
  })

  test('whose stream asks for more than the price gets no more', async () => {
    await client.fetch(url('/stream'))
    const [channel] = await client.channels()
    const event = (name: string, data: object) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
    const need = { channelId: channel?.channelId, requiredCumulative: '4000000', acceptedCumulative: '2000' }
    answerPaid(
      () =>
        new Response(`data: a\n\n${event('payment-need-voucher', need).repeat(20)}data: b\n\n`, {
          headers: { 'Content-Type': 'text/event-stream' },
        }),
    )
    const before = provider.seen.length
    expect(await (await client.fetch(url('/stream'))).text()).toContain('data: b')
    expect(provider.seen.length).toBe(before + 1)
    expect(await signed()).toBe(2_000n)
  })

  test('that raises the challenge between quote and payment gets no more than the limit', async () => {
    await client.fetch(url('/joke'))
    for (const amount of ['50001', '4000000', '99999999999999999999999999']) {
      answerPaid(() =>
        refusal(provider.challenge({ request: { amount } }), {
          type: 'https://paymentauth.org/problems/session/insufficient-balance',
        }),
      )
      await expect(client.fetch(url('/joke'))).rejects.toThrow(LimitExceededError)
    }
    expect(await signed()).toBe(2_000n)
  })

  test('the higher price is confirmed before it is signed', async () => {
    const asked: string[] = []
    const confirm = (payment: { kind: string; amount: string }) => {
      if (payment.kind === 'request') asked.push(payment.amount)
      return payment.kind === 'deposit' || Usdc.parse(payment.amount) <= 1_000n
    }
    client = createClient({ limits: { perRequest: '0.05', perChannel: '5', confirm } })
    await client.fetch(url('/joke'))
    provider.price = '0.04'
    await expect(client.fetch(url('/joke'))).rejects.toMatchObject({ limit: 'confirm' })
    expect(asked).toEqual(['0.001', '0.001', '0.04'])
    expect(await signed()).toBe(2_000n)
  })

  test('whose challenge never ends is asked again after ten minutes', async () => {
    provider.instead = (_, { credential }) =>
      credential ? undefined : refusal(provider.challenge({ expires: '2099-01-01T00:00:00Z' }))
    await client.fetch(url('/joke'))
    ahead = 590_000
    await client.fetch(url('/joke'))
    ahead = 1_200_000
    await client.fetch(url('/joke'))
    expect(steps().slice(3)).toEqual(['GET /joke paid', 'GET /joke', 'GET /joke paid'])
  })

  test('one without an end answers for its own request only', async () => {
    provider.instead = (_, { credential }) =>
      refusal(provider.challenge({ expires: undefined }), { credential: String(credential !== undefined) })
    await expect(client.fetch(url('/joke'))).rejects.toThrow(PaymentRejectedError)
    await expect(client.fetch(url('/joke'))).rejects.toThrow(PaymentRejectedError)
    expect(steps()).toEqual(['GET /joke', 'GET /v1/pricing', 'GET /joke paid', 'GET /joke', 'GET /joke paid'])
    expect(await signed()).toBe(1_000n)
  })

  test.each(['other.example', 'example.com', '127.0.0.1:1', '0.0.1', ''])(
    'a challenge for the realm %j: nothing is opened or signed',
    async (realm) => {
      const before = await blocks()
      provider.instead = () => refusal(provider.challenge({ realm }))
      await expect(client.fetch(url('/joke'))).rejects.toThrow(UntrustedProviderError)
      expect(await blocks()).toBe(before)
      expect(provider.vouchers()).toEqual([])
    },
  )

  test.each([
    ['contract', {}, { escrowContract: '0x00000000000000000000000000000000000000aa' }],
    ['chain', {}, { chainId: 137 }],
    ['token', { currency: '0x00000000000000000000000000000000000000aa' }, {}],
  ])('a challenge for another %s: nothing is opened or signed', async (_, request, details) => {
    const before = await blocks()
    provider.instead = () => refusal(provider.challenge({ request: withDetails(request, details) }))
    await expect(client.fetch(url('/joke'))).rejects.toThrow(UntrustedProviderError)
    expect(await blocks()).toBe(before)
    expect(provider.vouchers()).toEqual([])
  })

  function withDetails(request: object, details: object) {
    const { contract: escrowContract, chainId } = chain.deployment
    const methodDetails = { chainId, escrowContract, credentialTypes: ['hash' as const], ...details }
    return { ...request, methodDetails }
  }

  test('a challenge for another recipient than the one its origin was opened for', async () => {
    await client.fetch(url('/joke'))
    const recipient = chain.accounts[2].address
    provider.instead = () => refusal(provider.challenge({ request: { recipient } }))
    await expect(client.fetch(url('/another'))).rejects.toThrow(UntrustedProviderError)
    // Of a refusal, such a challenge isn't taken either.
    await expect(client.fetch(url('/joke'))).rejects.toThrow(PaymentRejectedError)
    expect(await client.channels()).toHaveLength(1)
    expect(await signed()).toBe(2_000n)
  })

  test('of two challenges of which one is malformed, the other one counts', async () => {
    const good = provider.challenge()
    const bad = [
      'Payment id="x", realm="127.0.0.1", method="drain", intent="session", request="!!!"',
      'Payment id="x"',
      `${good}, id="again"`,
      provider.challenge({ request: { amount: '-1' } }),
      provider.challenge({ header: 'Cookie' }),
    ]
    for (const one of bad) {
      for (const both of [`${one}, ${good}`, `${good}, ${one}`]) {
        provider.instead = (_, { credential }) => (credential ? undefined : refusal(both))
        const path = `/${provider.seen.length}`
        expect((await client.fetch(url(path))).status).toBe(200)
      }
      provider.instead = () => refusal(one)
      const response = await client.fetch(url(`/${provider.seen.length}`))
      expect(response.status).toBe(402)
    }
    expect(await signed()).toBe(await provider.charged())
  })

  test.each([301, 302, 303, 307, 308])('a %i to another origin carries no credential', async (status) => {
    const seen: Request[] = []
    const other = await serve((request) => {
      seen.push(request)
      return new Response('thanks')
    })
    answerPaid(() => new Response(null, { status, headers: { Location: `${other.origin}/steal` } }))
    await expect(client.fetch(url('/joke'))).rejects.toThrow(UntrustedProviderError)
    expect(seen).toEqual([])
    await other.close()
  })

  test('a stranger that repeats an honest provider’s challenge gets nothing', async () => {
    await client.fetch(url('/joke'))
    const copied = provider.challenge({ realm: new URL(provider.origin).host })
    const stranger = await startMppxProvider(chain, chain.accounts[2])
    stranger.instead = () => refusal(copied)
    await expect(client.fetch(`${stranger.origin}/joke`)).rejects.toThrow(UntrustedProviderError)
    expect(stranger.vouchers()).toEqual([])
    await stranger.close()
  })

  test('receipts that tell more than the price are not believed', async () => {
    await client.fetch(url('/joke'))
    const [channel] = await client.channels()
    const receipt = {
      ...{ method: 'drain', status: 'success', timestamp: new Date().toISOString() },
      ...{ reference: channel?.channelId, channelId: channel?.channelId },
      ...{ spent: '4000000', cost: '4000000', acceptedCumulative: '4000000' },
    }
    answerPaid(() => {
      const header = Buffer.from(JSON.stringify(receipt)).toString('base64url')
      return new Response('ok', { headers: { 'Payment-Receipt': header } })
    })
    for (let index = 0; index < 3; index++) await client.fetch(url('/joke'))
    expect(await signed()).toBe(4_000n)
  })
})
