/** The API as it is started, paid from a channel by our client, and without one by mppx’s own. */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDrainClient, headersWire } from '@drain/consumer'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { drainWire } from '@drain/mpp/client'
import { Receipt } from 'mppx'
import { evm, Mppx } from 'mppx/client'
import { erc20Abi, toHex } from 'viem'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

type Api = typeof import('../src/index.ts')

let chain: LocalChain
let folder: string
let api: Api
let origin: string
beforeAll(async () => {
  chain = await startLocalChain()
  folder = await mkdtemp(join(tmpdir(), 'drain-mpp-api-'))
  const environment = {
    DRAIN_PRIVATE_KEY: toHex(chain.accounts[1].getHdKey().privateKey ?? new Uint8Array()),
    CHAIN_ID: String(chain.chainId),
    RPC_URL: chain.rpcUrl,
    CONTRACT_ADDRESS: chain.deployment.contract,
    USDC_ADDRESS: chain.deployment.token,
    DATABASE: join(folder, 'drain.db'),
    LOG_LEVEL: 'silent',
    PORT: '0',
  }
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value)
  api = await import('../src/index.ts')
  if (!api.server.listening) await once(api.server, 'listening')
  origin = `http://127.0.0.1:${(api.server.address() as AddressInfo).port}`
})
afterAll(async () => {
  vi.unstubAllEnvs()
  api?.server.close()
  await api?.paywall.close()
  await chain?.close()
  if (folder) await rm(folder, { recursive: true })
})

const price = 10_000n
const moon = () => `${origin}/moon?at=2026-11-24T14:53:00Z`

test('whoever doesn’t pay is told how, and finds the route', async () => {
  const response = await fetch(moon())
  expect(response.status).toBe(402)
  expect(response.headers.get('WWW-Authenticate')).toMatch(/method="drain".*method="evm"/)
  const { paths } = await (await fetch(`${origin}/openapi.json`)).json()
  const { offers } = paths['/moon'].get['x-payment-info']
  expect(offers.map(({ method }: { method: string }) => method)).toEqual(['drain', 'evm'])
})

test('a channel pays, by MPP’s credentials', async () => {
  const client = createDrainClient({
    account: chain.accounts[0],
    deployment: chain.deployment,
    rpcUrl: chain.rpcUrl,
    limits: { perRequest: '0.02', perChannel: '1' },
    // The headers would be taken first.
    wires: [drainWire(), headersWire],
  })
  const response = await client.fetch(moon())
  // On the day of a full moon.
  expect((await response.json()).lit).toBeGreaterThan(0.98)
  expect(Receipt.fromResponse(response)).toMatchObject({ method: 'drain', spent: `${price}` })
  expect((await client.fetch(`${origin}/moon?at=never`)).status).toBe(400)
  expect((await client.spending()).charged).toBe('0.01')
})

test('mppx’s own client pays without a channel', async () => {
  const earned = () =>
    chain.publicClient.readContract({
      ...{ address: chain.deployment.token, abi: erc20Abi, functionName: 'balanceOf' },
      args: [chain.accounts[1].address],
    })
  const before = await earned()
  const method = evm.charge({
    ...{ account: chain.accounts[0], authorization: { name: 'USD Coin', version: '2' }, decimals: 6 },
    ...{ currencies: [chain.deployment.token], networks: [chain.chainId], maxAmount: '0.02' },
  })
  const response = await Mppx.create({ methods: [method], polyfill: false }).fetch(moon())
  expect((await response.json()).lit).toBeGreaterThan(0.98)
  expect(Receipt.fromResponse(response).method).toBe('evm')
  expect(await earned()).toBe(before + price)
})
