/** mppx's own client with our method: what it pays, and what it doesn't get signed. */
import { createDrainClient, type DrainClient, type DrainClientOptions } from '@drain/consumer'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { LimitExceededError, PaymentRejectedError, UntrustedProviderError, Usdc } from '@drain/core'
import { session } from '@drain/mpp/client'
import { Mppx } from 'mppx/client'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { serve } from '../../consumer/test/serve.ts'
import { type MppxProvider, refusal, startMppxProvider } from './MppxProvider.ts'

let chain: LocalChain
let provider: MppxProvider
let client: DrainClient
let fetch: typeof globalThis.fetch
beforeAll(async () => {
  chain = await startLocalChain()
})
afterAll(() => chain.close())
beforeEach(async () => {
  provider = await startMppxProvider(chain, chain.accounts[1])
  client = createClient()
  fetch = mppxOn(client)
})
afterEach(() => provider.close())

function createClient(options: Partial<DrainClientOptions> = {}) {
  return createDrainClient({
    walletClient: chain.walletClient(chain.accounts[0]),
    deployment: chain.deployment,
    limits: { perRequest: '0.05', perChannel: '5' },
    ...options,
  })
}

function mppxOn(payer: DrainClient): typeof globalThis.fetch {
  const drain = session(payer)
  const mppx = Mppx.create({ methods: [drain], fetch: drain.fetch, polyfill: false })
  return (input, init) => mppx.fetch(input, init)
}

const url = (path: string) => `${provider.origin}${path}`
const amounts = () => provider.vouchers().map(({ amount }) => amount)
const signed = async () => Usdc.parse((await client.spending()).signed)

test('pays each request after its challenge, and counts what was charged', async () => {
  for (let index = 0; index < 3; index++) {
    expect(await (await fetch(url('/joke'))).json()).toEqual({ paid: '0.001' })
  }
  expect((await fetch(url('/free'))).status).toBe(200)
  expect(amounts()).toEqual([1_000n, 2_000n, 3_000n])
  expect(await client.spending()).toMatchObject({ charged: '0.003', signed: '0.003' })
})

test('sends bodies, and keys under which a provider may keep the answer', async () => {
  const body = JSON.stringify({ question: 'why' })
  const paid = new Request(url('/joke'), { method: 'POST', body })
  expect((await fetch(paid)).status).toBe(200)
  expect((await fetch(url('/joke'), { method: 'POST', body })).status).toBe(200)
  const keys = provider.seen.flatMap(({ headers, credential }) =>
    credential ? [headers.get('Idempotency-Key')] : [],
  )
  expect(keys).toEqual([expect.stringMatching(/-/), expect.stringMatching(/-/)])
})

test('parallel requests share a channel, each with a voucher of its own', async () => {
  const responses = await Promise.all(Array.from({ length: 8 }, (_, index) => fetch(url(`/${index % 2}`))))
  expect(responses.map(({ status }) => status)).toEqual(Array(8).fill(200))
  expect(await client.channels()).toHaveLength(1)
  expect(new Set(amounts()).size).toBe(8)
  expect(await signed()).toBe(await provider.charged())
})

test('a price that rises is paid within the limit, and not above', async () => {
  await fetch(url('/joke'))
  provider.price = '0.04'
  expect((await fetch(url('/joke'))).status).toBe(200)
  provider.price = '0.06'
  await expect(fetch(url('/joke'))).rejects.toThrow(LimitExceededError)
  expect(await signed()).toBe(41_000n)
})

test('a server that always answers 402 gets the price of one request', async () => {
  await fetch(url('/joke'))
  provider.instead = () => refusal(provider.challenge(), { type: 'about:blank' })
  for (let index = 0; index < 3; index++) {
    await expect(fetch(url('/joke'))).rejects.toThrow(PaymentRejectedError)
  }
  expect(await signed()).toBe(2_000n)
})

test('a challenge of another server, or of another contract, is not answered', async () => {
  provider.instead = () => refusal(provider.challenge({ realm: 'other.example' }))
  await expect(fetch(url('/joke'))).rejects.toThrow(UntrustedProviderError)
  const escrowContract = '0x00000000000000000000000000000000000000aa'
  provider.instead = () => refusal(provider.challenge({}, { escrowContract }))
  await expect(fetch(url('/joke'))).rejects.toThrow(UntrustedProviderError)
  expect(provider.vouchers()).toEqual([])
  expect(await client.channels()).toEqual([])
})

test('a credential goes to no other origin, and not past a redirect', async () => {
  await fetch(url('/joke'))
  const seen: Request[] = []
  const other = await serve((request) => {
    seen.push(request)
    return new Response('thanks')
  })
  provider.instead = (_, { credential }) =>
    credential
      ? new Response(null, { status: 307, headers: { Location: `${other.origin}/steal` } })
      : undefined
  await expect(fetch(url('/joke'))).rejects.toThrow(UntrustedProviderError)
  expect(seen).toEqual([])

  const drain = session(client)
  const mppx = Mppx.create({ methods: [drain], fetch: drain.fetch, polyfill: false })
  const credential = await mppx.createCredential(await drain.fetch(url('/joke')))
  const stolen = drain.fetch(`${other.origin}/steal`, { headers: { Authorization: credential } })
  await expect(stolen).rejects.toThrow(UntrustedProviderError)
  expect(seen).toEqual([])
  await other.close()
})

test('a stranger that shows an honest server’s challenge stops no payment to that', async () => {
  const honest = url('/joke').replace('127.0.0.1', 'localhost')
  const realm = new URL(honest).host
  provider.instead = (_, { credential }) => (credential ? undefined : refusal(provider.challenge({ realm })))
  const asked = await globalThis.fetch(honest)
  const stranger = await serve(() => new Response(null, { status: 402, headers: asked.headers }))
  const drain = session(client)
  const mppx = Mppx.create({ methods: [drain], fetch: drain.fetch, polyfill: false })
  expect((await drain.fetch(stranger.origin)).status).toBe(402)
  provider.instead = (_, { credential }) =>
    credential ? undefined : new Response(null, { status: 402, headers: asked.headers })
  expect((await mppx.fetch(honest)).status).toBe(200)
  await expect(mppx.fetch(stranger.origin)).rejects.toThrow(UntrustedProviderError)
  await stranger.close()
})

test('of what nobody answers a bounded part is kept', async () => {
  let asked = 0
  provider.instead = () => {
    const expires = new Date(Date.now() + 60_000 + ++asked).toISOString()
    return refusal(provider.challenge({ expires }))
  }
  const paid: Response[] = []
  const drain = session({
    async pay(response) {
      paid.push(response)
      throw new Error('not paid')
    },
  })
  const mppx = Mppx.create({ methods: [drain], fetch: drain.fetch, polyfill: false })
  const body = 'x'.repeat(2 ** 20)
  const post = () => drain.fetch(new Request(url('/joke'), { method: 'POST', body }))
  const responses: Response[] = []
  for (let index = 0; index < 20; index++) responses.push(await post())
  const answers = responses.map((response) => mppx.createCredential(response).catch((error) => error.code))
  expect((await Promise.all(answers)).filter((code) => code === 'mpp_fetch_missing')).toHaveLength(5)
  expect(paid).toHaveLength(15)
})

test('without the method’s fetch nothing is signed', async () => {
  const mppx = Mppx.create({ methods: [session(client)], polyfill: false })
  await expect(mppx.fetch(url('/joke'))).rejects.toMatchObject({ code: 'mpp_fetch_missing' })
  expect(await client.channels()).toEqual([])
})
