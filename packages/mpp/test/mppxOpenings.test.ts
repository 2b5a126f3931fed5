/**
 * Channels that our client opens at a server run by mppx: it pays with `voucher` at once and never sends `open`, and the server finds
 * the channel on chain, also when that takes a while.
 */
import { createDrainClient, type DrainClientOptions } from '@drain/consumer'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { drainWire } from '@drain/mpp/client'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { startRpcProxy } from '../../provider/test/RpcProxy.ts'
import { type MppxProvider, startMppxProvider } from './MppxProvider.ts'

let chain: LocalChain
let provider: MppxProvider
beforeAll(async () => {
  chain = await startLocalChain()
})
afterEach(() => provider.close())
afterAll(() => chain.close())

function createClient(options: Partial<DrainClientOptions> = {}) {
  return createDrainClient({
    walletClient: chain.walletClient(chain.accounts[0]),
    deployment: chain.deployment,
    limits: { perRequest: '0.05', perChannel: '1' },
    wires: [drainWire()],
    ...options,
  })
}

const actions = () => provider.seen.flatMap(({ credential }) => credential?.payload.action ?? [])
const amounts = () => new Set(provider.vouchers().map(({ amount }) => amount))

test('one whose opening waits for confirmations is paid from once it has them, by one deposit and one amount', async () => {
  provider = await startMppxProvider(chain, chain.accounts[1], { confirmations: () => 3n })
  provider.instead = async (_, { credential }) => {
    if (credential) await chain.testClient.mine({ blocks: 1 })
    return undefined
  }
  const client = createClient()
  expect((await client.fetch(`${provider.origin}/joke`)).status).toBe(200)
  expect(new Set(actions())).toEqual(new Set(['voucher']))
  expect(actions().length).toBeGreaterThan(1)
  expect(amounts()).toEqual(new Set([1_000n]))
  expect(await client.channels()).toHaveLength(1)
  expect(await provider.charged()).toBe(1_000n)
})

test('one that the server’s node doesn’t show yet is paid from once it does', async () => {
  const proxy = await startRpcProxy(chain.rpcUrl)
  provider = await startMppxProvider(chain, chain.accounts[1], { rpcUrl: proxy.url })
  let asked = 0
  // As a node that is behind: there is no such channel.
  proxy.lie = async ({ method }, ask) => {
    const answer = await ask()
    if (method !== 'eth_call' || asked >= 2) return answer
    asked += 1
    return { result: (answer.result as string).replace(/[^x]/g, '0') }
  }
  const client = createClient()
  expect((await client.fetch(`${provider.origin}/joke`)).status).toBe(200)
  expect(asked).toBe(2)
  expect(new Set(actions())).toEqual(new Set(['voucher']))
  expect(await client.channels()).toHaveLength(1)
  expect(await provider.charged()).toBe(1_000n)
  await proxy.close()
})

test('a consumer without gas has one opened by the server’s relay, where that has the protocol’s endpoints', async () => {
  const relay = { nativePrice: '0.000001' }
  provider = await startMppxProvider(chain, chain.accounts[1], { isWhole: true, relay })
  const account = privateKeyToAccount(generatePrivateKey())
  await chain.fund(account.address, '2')
  const client = createClient({ walletClient: chain.walletClient(account), gasless: true })
  expect((await client.fetch(`${provider.origin}/joke`)).status).toBe(200)
  expect(new Set(actions())).toEqual(new Set(['voucher']))
  expect(provider.seen.filter(({ path }) => path === '/v1/open')).toHaveLength(1)
  expect(await chain.publicClient.getTransactionCount({ address: account.address })).toBe(0)
})
