/**
 * What an agent does that has nothing but MCP: finds a provider, opens a channel, asks ten times, closes, and gets the rest back.
 * `drain-mcp` runs as MCP clients start it, over stdin and stdout. With `--json` the last line is one JSON object.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startLocalChain } from '@drain/consumer/testing'
import { Usdc } from '@drain-protocol/sdk'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { createProgress } from './progress.ts'
import { startAgent } from './startAgent.ts'
import { startDirectory, startProvider } from './startProcess.ts'
import { printTable } from './table.ts'

const questions = 10
const deposit = '0.5'

const json = process.argv.includes('--json')
const progress = createProgress(json ? process.stderr : process.stdout)
const folder = mkdtempSync(join(tmpdir(), 'drain-agent-'))

progress.say('Starting a private chain, the reference provider, and a directory that lists it …')
await using chain = await startLocalChain()
const [key, providerKey] = [generatePrivateKey(), generatePrivateKey()]
const agent = privateKeyToAccount(key)
await chain.fund(agent.address, '10')
for (const { address } of [agent, privateKeyToAccount(providerKey)]) {
  await chain.testClient.setBalance({ address, value: 10n ** 18n })
}
await using provider = await startProvider({ chain, privateKey: providerKey, folder })
await using directory = await startDirectory([provider.url])

progress.say('Starting drain-mcp, and an MCP client …')
const agentProcess = await startAgent({ chain, key, directoryUrl: directory.url, folder, progress })
const { call } = agentProcess

const { providers } = await call<{ providers: [{ id: string }] }>('drain_providers', { onlineOnly: true })
const [{ id }] = providers
await call('drain_provider_info', { provider: id })
await call('drain_balance')
type Channel = { channelId: string }
const { channelId } = await call<Channel>('drain_open_channel', {
  provider: id,
  amount: deposit,
  duration: '2h',
})
let spent = 0n
for (let number = 1; number <= questions; number += 1) {
  const messages = [{ role: 'user', content: `Question ${number}: what is a payment channel?` }]
  const { cost } = await call<{ cost: string }>('drain_chat', { channelId, messages, maxTokens: 60 })
  spent += Usdc.parse(cost)
}
type Closed = { paid: string; refund: string }
const { paid, refund } = await call<Closed>('drain_cooperative_close', { channelId })
await call('drain_feedback', { providerId: id, outcome: 'success' })
const { usdc, locked } = await call<{ usdc: string; locked: string }>('drain_balance')
await agentProcess.close()
rmSync(folder, { recursive: true, force: true })

if (!json) {
  progress.say('')
  printTable([
    ['Questions', String(questions)],
    ['Deposit', `${deposit} USDC`],
    ['Paid', `${paid} USDC`],
    ['Came back', `${refund} USDC`],
    ['In the wallet', `${usdc} USDC, ${locked} locked`],
  ])
}
if (Usdc.parse(paid) !== spent)
  throw new Error(`${paid} USDC was paid, the answers say ${Usdc.display(spent)}.`)
if (Usdc.parse(usdc) !== Usdc.parse('10') - spent || locked !== '0')
  throw new Error('The rest did not come back.')
if (json) console.log(JSON.stringify({ questions, paid, refund, usdc, locked }))
