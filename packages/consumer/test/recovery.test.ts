/** What a client finds that has lost its books, or part of them. */
import type { Hex } from 'viem'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { DrainClient } from '../src/index.ts'
import { chain, clientsWith, provider, setUp } from './fixture.ts'
import { startTestProvider, type TestProvider } from './TestProvider.ts'

setUp()

let rival: TestProvider
let fresh: DrainClient
let fromBlock: bigint
beforeEach(async () => {
  rival = await startTestProvider(chain, chain.accounts[2])
  provider.instead = showState(provider)
  rival.instead = (_, { path }) => (path.startsWith('/v1/channels/') ? Response.json({}) : undefined)
  // Anybody can name anybody's address.
  for (const one of [provider, rival]) {
    one.pricing = { ...one.pricing, provider: provider.account.address }
  }
  fromBlock = (await chain.publicClient.getBlockNumber()) + 1n
  const client = createClient()
  for (let index = 0; index < 2; index++) await client.fetch(`${provider.origin}/joke`)
  fresh = createClient()
})
afterEach(() => rival.close())

const createClient = clientsWith(() => ({ limits: { perRequest: '0.05', perChannel: '1' } }))

/** Answers for a channel as the provider of this project does. */
function showState(of: TestProvider): TestProvider['instead'] {
  return (_, { path }) => {
    if (!path.startsWith('/v1/channels/')) return undefined
    const { charged, highest } = of.books(path.slice('/v1/channels/'.length) as Hex)
    const voucher = highest && { ...highest, amount: `${highest.amount}`, nonce: `${highest.nonce}` }
    return Response.json({ charged: `${charged}`, voucher })
  }
}

test('of several origins that name one address, the one with this wallet’s highest voucher is bound', async () => {
  const origins = [rival.origin, provider.origin]
  expect(await fresh.recover({ origins, fromBlock })).toMatchObject([
    { origin: provider.origin, state: 'open', signed: '0.002', charged: '0.002' },
  ])
  rival.offer = { provider: provider.account.address }
  await fresh.fetch(`${rival.origin}/joke`)
  expect(rival.vouchers().map(({ channelId }) => channelId)).not.toContain(provider.vouchers()[0]?.channelId)
})

test('one that shows the same voucher may have asked for it with this client’s request: none is bound', async () => {
  rival.instead = showState(provider)
  const origins = [rival.origin, provider.origin]
  expect(await fresh.recover({ origins, fromBlock })).toMatchObject([{ origin: '', state: 'retired' }])
  // Named alone it is the caller's choice.
  expect(await fresh.recover({ origins: [provider.origin], fromBlock })).toMatchObject([
    { origin: provider.origin, state: 'open' },
  ])
})

test('while one of the origins does not answer, another is bound by its voucher only', async () => {
  const silent = rival.origin
  await rival.close()
  expect(await fresh.recover({ origins: [silent, provider.origin], fromBlock })).toMatchObject([
    { origin: provider.origin, signed: '0.002' },
  ])
})

test('a channel that was found before is kept, and bound however long ago it was opened', async () => {
  expect(await fresh.recover({ fromBlock })).toMatchObject([{ origin: '', state: 'retired' }])
  await chain.testClient.mine({ blocks: 3 })
  const head = await chain.publicClient.getBlockNumber()
  expect(await fresh.recover({ fromBlock: head })).toMatchObject([{ origin: '' }])
  expect(await fresh.recover({ origins: [provider.origin], fromBlock: head })).toMatchObject([
    { origin: provider.origin, state: 'open', charged: '0.002' },
  ])
  expect((await fresh.fetch(`${provider.origin}/joke`)).status).toBe(200)
  expect(provider.vouchers().at(-1)).toMatchObject({ amount: 3_000n })
})
