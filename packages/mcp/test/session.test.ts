/** A whole session over stdio, with the reference provider on a private chain. */
import { Usdc } from '@drain/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AgentWallet, type Market, type Session, startMarket } from './market.ts'

const ask = (channelId: string, content = 'What is a channel?') => ({
  channelId,
  messages: [{ role: 'user', content }],
  maxTokens: 40,
})

describe.each(['static', 'marketplace'] as const)(
  'an agent with nothing but MCP, and a directory: %s',
  (kind) => {
    let market: Market
    beforeAll(async () => {
      market = await startMarket(kind)
    })
    afterAll(() => market?.close())

    let wallet: AgentWallet
    let session: Session
    beforeAll(async () => {
      wallet = await market.wallet()
      session = await market.connect(wallet.env)
    })

    test('discovers, opens, asks ten times, closes, and gets the rest back', async () => {
      const { data: found } = await session.call('drain_providers', { model: 'drain-local' })
      expect(found.providers).toMatchObject([
        { id: 'reference', category: 'llm', online: true, protocol: 'drain' },
      ])
      const { data: info } = await session.call('drain_provider_info', { provider: found.providers[0].id })
      expect(info.docs).toMatch(/chat\/completions/)
      const { data: before } = await session.call('drain_balance')
      expect(before).toMatchObject({ address: wallet.address, usdc: '10', locked: '0', allowance: '0' })

      const { data: channel } = await session.call('drain_open_channel', {
        provider: 'reference',
        amount: '0.5',
        duration: '2h',
      })
      expect(channel).toMatchObject({
        state: 'open',
        deposit: '0.5',
        origin: market.provider.url,
        charged: '0',
      })
      let spent = 0n
      for (let count = 0; count < 10; count += 1) {
        const { data } = await session.call('drain_chat', ask(channel.channelId))
        expect(data.text).toMatch(/^[A-Z]/)
        expect(data).toMatchObject({ channelId: channel.channelId, isCut: false })
        spent += Usdc.parse(data.cost)
        expect(data.remaining).toBe(Usdc.format(Usdc.parse('0.5') - spent))
      }
      const { data: status } = await session.call('drain_channel_status', { channelId: channel.channelId })
      expect(status).toMatchObject({ state: 'open', charged: Usdc.format(spent), claimed: '0' })

      const { data: closed } = await session.call('drain_cooperative_close', { channelId: channel.channelId })
      const refund = Usdc.parse('0.5') - spent
      expect(closed).toMatchObject({ paid: Usdc.format(spent), refund: Usdc.format(refund) })
      expect(await wallet.usdc()).toBe(Usdc.parse('10') - spent)
      const { data: after } = await session.call('drain_channels', { includeClosed: true })
      expect(after).toMatchObject({
        locked: '0',
        charged: Usdc.format(spent),
        channels: [{ state: 'closed' }],
      })
      expect(session.progress.join('\n')).toMatch(/Opening the channel[\s\S]*Answering: …[\s\S]*Closing/)
    })

    test('reports how it went, with its signature', async () => {
      const { data } = await session.call('drain_feedback', { providerId: 'reference', outcome: 'success' })
      expect(data).toMatchObject({ providerId: 'reference', outcome: 'success', accepted: true })
      const path = kind === 'static' ? '/api/feedback' : '/api/directory/providers/reference/feedback'
      const read = async () => (await (await fetch(`${market.directory.url}${path}`)).json()).feedback.at(-1)
      await expect.poll(read).toMatchObject({ outcome: 'success', protocol: 'drain' })
      // The marketplace counts what the chain shows as paid.
      if (kind === 'marketplace') await expect.poll(async () => (await read()).paid).toMatch(/^0\.00\d+$/)
    })

    test('never tells its key', () => {
      expect(session.stderr()).not.toContain(wallet.key.slice(2))
    })
  },
)
