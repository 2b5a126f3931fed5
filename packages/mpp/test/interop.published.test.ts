/** mppx's client and server as published, against our server and client over real connections, with both offers on a route. */
import { createServer } from 'node:http'
import { createDrainClient } from '@drain/consumer'
import { evmCharge as payCharges, session as paySessions } from '@drain/mpp/client'
import { drainSession, evmCharge } from '@drain/mpp/server'
import type { Paywall } from '@drain/provider'
import { paid } from '@drain/provider/node'
import { Receipt } from 'mppx'
import { evm, Mppx } from 'mppx/client'
import { Mppx as MppxServer, evm as serverEvm } from 'mppx/server'
import { type Hex, parseAbi } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { serve } from '../../consumer/test/serve.ts'
import { type App, listening } from '../../provider/test/apps.ts'
import { type Fixture, startFixture } from '../../provider/test/fixture.ts'
import { cheapGas } from './charging.ts'

const tokenDomain = { name: 'USD Coin', version: '2' }
const price = 20_000n

let fixture: Fixture
let paywall: Paywall
let app: App
beforeAll(async () => {
  fixture = await startFixture()
  paywall = fixture.paywall({ schemes: [drainSession(), evmCharge(cheapGas)] })
  await paywall.ready()
  app = await listening(createServer(paid(paywall, '0.02', (_, response) => response.end('a joke'))))
})
afterAll(async () => {
  await app?.close()
  await fixture?.close()
})

const earned = () => fixture.balance(fixture.provider.address)

const ourClient = (options: Partial<Parameters<typeof createDrainClient>[0]> = {}) =>
  createDrainClient({
    walletClient: fixture.chain.walletClient(fixture.consumer),
    deployment: fixture.chain.deployment,
    limits: { perRequest: '0.05', perChannel: '1' },
    ...options,
  })

const stockCharge = () =>
  evm.charge({
    ...{ account: fixture.consumer, authorization: tokenDomain, decimals: 6, maxAmount: '0.1' },
    ...{ currencies: [fixture.chain.deployment.token], networks: [fixture.chain.chainId] },
  })

test('mppx’s client pays our server from a channel, by our method', async () => {
  const client = ourClient()
  const drain = paySessions(client)
  const mppx = Mppx.create({ methods: [drain], fetch: drain.fetch, polyfill: false })
  const [first, second] = [await mppx.fetch(app.origin), await mppx.fetch(app.origin)]
  expect(await second.text()).toBe('a joke')
  const [{ channelId } = { channelId: '0x' as Hex }] = await client.channels()
  expect(Receipt.fromResponse(first)).toMatchObject({ method: 'drain', reference: channelId, spent: '20000' })
  expect((await paywall.ledger.get(channelId))?.charged).toBe(2n * price)
})

test('mppx’s client pays our server without a channel, by its own method', async () => {
  const before = await earned()
  const response = await Mppx.create({ methods: [stockCharge()], polyfill: false }).fetch(app.origin)
  expect(await response.text()).toBe('a joke')
  const { reference, method } = Receipt.fromResponse(response)
  expect(method).toBe('evm')
  const { status } = await fixture.chain.publicClient.getTransactionReceipt({ hash: reference as Hex })
  expect(status).toBe('success')
  expect(await earned()).toBe(before + price)
})

test('a client of mppx that can do both takes the first that it was given', async () => {
  const drain = paySessions(ourClient())
  const mppx = Mppx.create({ methods: [drain, stockCharge()], fetch: drain.fetch, polyfill: false })
  expect(Receipt.fromResponse(await mppx.fetch(app.origin)).method).toBe('drain')
})

test('our client pays a charge of mppx’s own server', async () => {
  const { deployment, chainId, publicClient } = fixture.chain
  const abi = parseAbi([
    'function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes signature)',
  ])
  const method = serverEvm.charge({
    ...{ currency: deployment.token, recipient: fixture.provider.address, chainId, decimals: 6 },
    authorization: tokenDomain,
    async settle({ payload: { from, to, value, validAfter, validBefore, nonce, signature } }) {
      const hash = await fixture.chain.walletClient(fixture.provider).writeContract({
        ...{ address: deployment.token, abi, functionName: 'transferWithAuthorization' },
        args: [
          ...([from, to] as [Hex, Hex]),
          ...([BigInt(value), BigInt(validAfter), BigInt(validBefore)] as const),
          ...([nonce, signature] as [Hex, Hex]),
        ],
      })
      await publicClient.waitForTransactionReceipt({ hash })
      return { reference: hash }
    },
  })
  const mppx = MppxServer.create({ methods: [method], secretKey: 'a secret of tests, at least 32 bytes' })
  const server = await serve(async (request) => {
    const result = await mppx.evm.charge({ amount: '0.02' })(request)
    return result.status === 402 ? result.challenge : result.withReceipt(new Response('a joke'))
  })
  try {
    const before = await earned()
    const schemes = [payCharges({ account: fixture.consumer, deployment, tokenDomain, maxAmount: '0.1' })]
    const response = await ourClient({ schemes }).fetch(server.origin)
    expect(await response.text()).toBe('a joke')
    expect(Receipt.fromResponse(response).method).toBe('evm')
    expect(await earned()).toBe(before + price)
  } finally {
    await server.close()
  }
})
