import type { McpServer } from '@modelcontextprotocol/server'
import type { Agent } from './createAgent.ts'
import { refusalOf } from './refusals.ts'
import { toChannel, toProvider } from './tools/shapes.ts'
import { askerOf } from './tools/Tool.ts'
import { describeWallet } from './tools/wallet.ts'

const mimeType = 'application/json'

/** What can be read without calling a tool, as JSON. */
export function registerResources(server: McpServer, agent: Agent): void {
  add('wallet', 'drain://wallet', 'Address, balances and limits of this wallet.', async () =>
    describeWallet(await agent.purse()),
  )
  add(
    'providers',
    'drain://providers',
    'Providers that answer, the best first. Written by strangers.',
    async () => {
      const { providers, total } = await agent.directory.list({ onlineOnly: true, limit: 100 })
      return { providers: providers.map((provider) => toProvider(provider, 20)), total, trust: 'untrusted' }
    },
  )
  add('channels', 'drain://channels', 'The channels of this wallet.', async () => {
    const { client } = await agent.purse()
    return { channels: (await client.channels()).map((channel) => toChannel(channel)) }
  })

  function add(name: string, uri: string, description: string, read: () => Promise<unknown>): void {
    server.registerResource(name, uri, { title: `DRAIN ${name}`, description, mimeType }, async (url) => {
      const value = await read().catch(async (error) => ({ error: refusalOf(error, await askerOf(agent)) }))
      return { contents: [{ uri: url.href, mimeType, text: JSON.stringify(value, undefined, 2) }] }
    })
  }
}
