/** A token that can't be read, or isn't what it says: nothing is offered that could never be cashed. */
import { evmCharge } from '@drain/mpp/server'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Fixture, startFixture } from '../../provider/test/fixture.ts'
import { type RpcProxy, startRpcProxy } from '../../provider/test/RpcProxy.ts'
import { cheapGas } from './charging.ts'

let fixture: Fixture
let proxy: RpcProxy

beforeAll(async () => {
  fixture = await startFixture()
  proxy = await startRpcProxy(fixture.chain.rpcUrl)
})
afterAll(async () => {
  await proxy?.close()
  await fixture?.close()
})

const paywallOf = () => fixture.paywall({ rpcUrl: proxy.url, schemes: [evmCharge(cheapGas)] })
const separatorSelector = '0x3644e515'

test('a token whose domain is not made of its name and version stops the provider', async () => {
  proxy.lie = async ({ method, params }, ask) => {
    const [call] = params as [{ data?: string }]
    if (method !== 'eth_call' || call.data !== separatorSelector) return ask()
    return { result: `0x${'12'.repeat(32)}` }
  }
  await expect(paywallOf().ready()).rejects.toMatchObject({ code: 'token_domain' })
  proxy.lie = undefined
  await paywallOf().ready()
})

test('while the node is down charges are not offered, and as soon as it is back they are', async () => {
  const paywall = paywallOf()
  const ask = () => paywall.handle(new Request('http://127.0.0.1/x'), 20_000n, () => new Response('done'))
  proxy.isDown = true
  const without = await ask()
  expect(without.status).toBe(402)
  expect(without.headers.get('WWW-Authenticate')).toBeNull()
  // Whoever asks for 402s asks the node for nothing.
  const before = proxy.count('eth_call')
  for (let asked = 0; asked < 40; asked += 1) await ask()
  expect(proxy.count('eth_call') - before).toBeLessThan(20)
  proxy.isDown = false
  await expect
    .poll(async () => (await ask()).headers.get('WWW-Authenticate'), { timeout: 10_000 })
    .toMatch(/^Payment .*method="evm"/)
})

test('a node that never answers keeps nobody waiting for good', async () => {
  let answer = () => {}
  const silence = new Promise<void>((resolve) => {
    answer = resolve
  })
  proxy.lie = async ({ method }, ask) => {
    if (method === 'eth_call') await silence
    return ask()
  }
  const paywall = paywallOf()
  const ask = () => paywall.handle(new Request('http://127.0.0.1/x'), 20_000n, () => new Response('done'))
  const without = await ask()
  expect([without.status, without.headers.get('WWW-Authenticate')]).toEqual([402, null])
  answer()
  proxy.lie = undefined
  await expect
    .poll(async () => (await ask()).headers.get('WWW-Authenticate'), { timeout: 10_000 })
    .toMatch(/^Payment /)
})

test('a price below the least that is worth its gas is not offered as a charge', async () => {
  const paywall = fixture.paywall({ schemes: [evmCharge({ ...cheapGas, minAmount: '0.02' })] })
  const offered = async (quote: bigint) => {
    const asked = await paywall.handle(new Request('http://127.0.0.1/x'), quote, () => new Response('done'))
    return asked.headers.get('WWW-Authenticate')
  }
  expect(await offered(20_000n)).toMatch(/^Payment /)
  expect(await offered(19_999n)).toBeNull()
})
