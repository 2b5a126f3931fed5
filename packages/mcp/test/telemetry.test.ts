/** What the directory hears of requests: nothing, unless the owner wants it; and never who asked. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Market, startMarket } from './market.ts'
import { listen, type Seller } from './sellers.ts'

let market: Market
let directory: Seller
const heard: { path: string; body: string; headers: unknown }[] = []
beforeAll(async () => {
  market = await startMarket()
  directory = await listen(async (req, res) => {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk as Buffer)
    heard.push({ path: req.url ?? '', body: Buffer.concat(chunks).toString(), headers: req.headers })
    res.end(
      JSON.stringify({
        providers: [{ id: 'reference', apiUrl: market.provider.url, status: { online: true } }],
      }),
    )
  })
})
afterAll(async () => {
  await market?.close()
  await directory?.close()
})

async function ask(env: Record<string, string>) {
  const wallet = await market.wallet()
  const session = await market.connect({ ...wallet.env, DRAIN_DIRECTORY_URL: directory.url, ...env })
  const { data } = await session.call('drain_open_channel', { provider: 'reference', amount: '0.2' })
  const { channelId } = data
  const messages = [{ role: 'user', content: 'A private question' }]
  const { data: answer } = await session.call('drain_chat', { channelId, messages, maxTokens: 10 })
  await session.call('drain_cooperative_close', { channelId })
  return { wallet, cost: answer.cost as string, channelId: channelId as string }
}

test('nothing by default', async () => {
  heard.length = 0
  await ask({})
  expect(heard.every(({ path }) => path.startsWith('/api/mcp/providers'))).toBe(true)
})

test('how it went where the owner wants it, not who asked, and not what', async () => {
  heard.length = 0
  const { wallet, cost, channelId } = await ask({ DRAIN_TELEMETRY: '1' })
  await expect.poll(() => heard.filter(({ path }) => path === '/api/telemetry')).toHaveLength(1)
  const [report] = heard.filter(({ path }) => path === '/api/telemetry')
  const expected = { providerId: 'reference', httpStatus: 200, protocol: 'drain', costUsdc: Number(cost) }
  expect(JSON.parse(report?.body ?? '')).toMatchObject(expected)
  const everything = JSON.stringify(heard).toLowerCase()
  for (const secret of [wallet.address, wallet.key, channelId, 'private question']) {
    expect(everything).not.toContain(secret.toLowerCase().replace(/^0x/, ''))
  }
})
