/** Two MCP clients on one wallet at once: one ledger of limits and channels, no amount signed twice. */
import { Usdc } from '@drain/core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AgentWallet, type Market, type Session, startMarket } from './market.ts'

let market: Market
beforeAll(async () => {
  market = await startMarket()
})
afterAll(() => market?.close())

const ask = (channelId: string) => ({
  channelId,
  messages: [{ role: 'user', content: 'Tell me about channels.' }],
  maxTokens: 20,
})

async function two(env: Record<string, string> = {}): Promise<{ wallet: AgentWallet; sessions: Session[] }> {
  const wallet = await market.wallet()
  const all = { ...wallet.env, ...env }
  return { wallet, sessions: await Promise.all([market.connect(all), market.connect(all)]) }
}

test('share a channel, in parallel, and the sum is right to the unit', async () => {
  const { wallet, sessions } = await two()
  const [first, second] = sessions as [Session, Session]
  const { data: channel } = await first.call('drain_open_channel', { provider: 'reference', amount: '0.5' })
  const { channelId } = channel
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, index) => (index % 2 ? first : second).call('drain_chat', ask(channelId))),
  )
  const spent = answers.reduce((sum, { data }) => sum + Usdc.parse(data.cost), 0n)
  const { data: closed } = await second.call('drain_cooperative_close', { channelId })
  expect(Usdc.parse(closed.paid)).toBe(spent)
  expect(await wallet.usdc()).toBe(Usdc.parse('10') - spent)
  expect((await first.call('drain_channels')).data).toMatchObject({ channels: [], locked: '0' })
})

test('can’t exceed a limit together', async () => {
  // Each channel may hold 1 USDC, all of a provider's 2.
  const { sessions } = await two({ DRAIN_MAX_PER_CHANNEL: '1' })
  const openings = await Promise.allSettled(
    [...sessions, ...sessions].map((session) =>
      session.call('drain_open_channel', { provider: 'reference', amount: '1' }),
    ),
  )
  expect(openings.filter(({ status }) => status === 'fulfilled')).toHaveLength(2)
  const [session] = sessions as [Session]
  expect((await session.call('drain_balance')).data.locked).toBe('2')
})

test('a server that is killed in the middle leaves a wallet that the next one goes on with', async () => {
  const { wallet, sessions } = await two()
  const [first, second] = sessions as [Session, Session]
  const { data } = await first.call('drain_open_channel', { provider: 'reference', amount: '0.5' })
  const { channelId } = data
  await first.call('drain_chat', ask(channelId))
  const interrupted = first.call('drain_chat', { ...ask(channelId), maxTokens: 2_000 }).catch(() => {})
  await expect
    .poll(() => first.progress.filter((line) => line.startsWith('Asking')).length)
    .toBeGreaterThan(1)
  process.kill(first.pid ?? 0, 'SIGKILL')
  await interrupted
  await second.call('drain_chat', ask(channelId))
  const { data: closed } = await second.call('drain_cooperative_close', { channelId })
  expect(await wallet.usdc()).toBe(Usdc.parse('10') - Usdc.parse(closed.paid))
})

test('a server whose client goes away ends by itself', async () => {
  const { sessions } = await two()
  for (const session of sessions) {
    await session.call('drain_balance')
    const { pid } = session
    await session.close()
    await expect.poll(() => isAlive(pid ?? 0)).toBe(false)
  }
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
