import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { createDrainClient, createPaywall, memoryLedger, Usdc } from '@drain-protocol/sdk'
import { endpoints, paid } from '@drain-protocol/sdk/hono'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { erc20Abi, type Hex } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { claimDue } from './claims.ts'

let chain: LocalChain
let server: Server
beforeAll(async () => {
  chain = await startLocalChain()
})
afterAll(async () => {
  server?.close()
  await chain?.close()
})

const balance = (address: Hex) =>
  chain.publicClient.readContract({
    address: chain.deployment.token,
    abi: erc20Abi,
    functionName: 'balanceOf',
    args: [address],
  })

test('claims over the threshold while a channel runs, and everything before it expires', async () => {
  const [consumer, provider] = chain.accounts
  const { deployment, rpcUrl, chainId } = chain
  const where = { chainId, rpcUrl, contractAddress: deployment.contract, usdcAddress: deployment.token }
  let clock = Date.now()
  const paywall = createPaywall({
    account: provider,
    ...where,
    ledger: memoryLedger({ log: () => {} }),
    clock: () => clock,
  })
  const app = new Hono()
  app.use(endpoints(paywall))
  app.get('/', paid(paywall, '0.4'), (c) => {
    c.get('payment').charge(300_000n)
    return c.text('paid')
  })
  await new Promise<void>((resolve) => {
    server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, () => resolve()) as Server
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const client = createDrainClient({
    account: consumer,
    ...where,
    limits: { perRequest: '0.5', perChannel: '5', duration: '24h' },
  })
  for (let count = 0; count < 4; count += 1) expect((await client.fetch(url)).status).toBe(200)

  const logged: string[] = []
  const claims = { intervalMs: 600_000, threshold: Usdc.parse('1') }
  const round = () => claimDue(paywall, { claims }, (message) => logged.push(message))
  const [earned, held] = await Promise.all([balance(provider.address), balance(consumer.address)])

  await round() // 1.2 charged, vouchers of 0.4, 0.7, 1.0 and 1.3: 1.0 is the best that was charged
  expect(await balance(provider.address)).toBe(earned + 1_000_000n)
  await round() // 0.2 are below the threshold
  expect(logged).toHaveLength(1)

  const [channel] = await client.channels()
  clock = (Number(channel?.expiry) - 3_000) * 1_000
  await round()
  expect(logged[1]).toMatch(/^settled channel 0x[0-9a-f]{64} at 1\.200000 USDC/)
  expect(await balance(provider.address)).toBe(earned + 1_200_000n)
  expect(await balance(consumer.address)).toBe(held + Usdc.parse(channel?.deposit ?? '') - 1_200_000n)
})
