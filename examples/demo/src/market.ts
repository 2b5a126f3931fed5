/**
 * A market from nothing: two providers register, are tested and approved, an agent finds the cheaper one, pays ten requests, closes,
 * and reports; the score moves. With `--json` the last line is one JSON object.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startLocalChain } from '@drain/consumer/testing'
import { createPaywall, Pricing, Usdc } from '@drain-protocol/sdk'
import { endpoints, paid } from '@drain-protocol/sdk/hono'
import { sqliteLedger } from '@drain-protocol/sdk/sqlite'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import type { LocalAccount } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { approveProvider, registerProvider } from '../../market/src/registerProvider.ts'
import { startEmptyMarket } from '../../market/src/startMarket.ts'
import { createProgress } from './progress.ts'
import { startAgent } from './startAgent.ts'
import { printTable } from './table.ts'

const questions = 10
const prices = { 'Dear Answers': '0.03', 'Fair Answers': '0.01' }

const json = process.argv.includes('--json')
const progress = createProgress(json ? process.stderr : process.stdout)
const folder = mkdtempSync(join(tmpdir(), 'drain-market-'))

progress.say('Starting a private chain and a directory …')
await using chain = await startLocalChain()
const market = await startEmptyMarket({ chain, folder })
const { url } = market.directory
progress.say(`The directory is open: ${url}`)

type Provider = { name: string; id: string; price: string; close(): Promise<void> }
const providers: Provider[] = []
for (const [index, [name, price]] of Object.entries(prices).entries()) {
  const account = chain.accounts[index + 2] as LocalAccount
  const { apiUrl, close } = await startProvider(name, price, account)
  progress.say(`\n${name} registers ${apiUrl}, ${price} USDC a request, signed by ${account.address}`)
  const about = { name, apiUrl, description: 'Answers any question.', category: 'llm' }
  const links = { website: `${apiUrl}/`, docsUrl: `${apiUrl}/v1/docs`, logoUrl: `${url}/favicon.svg` }
  const listing = { ...about, ...links, contactEmail: `answers@${index}.example` }
  const { chainId } = chain
  const { id, state, checks } = await registerProvider({ directory: url, account, chainId, listing })
  for (const check of checks) progress.say(`  ${check.passed ? '✓' : '✗'} ${check.name}: ${check.detail}`)
  progress.say(`  It is ${state}. ${(await approveProvider(url, id, market.operatorToken)).done}`)
  providers.push({ name, id, price, close })
}
await market.directory.round()

const key = generatePrivateKey()
const { address } = privateKeyToAccount(key)
await chain.fund(address, '10')
await chain.testClient.setBalance({ address, value: 10n ** 18n })
progress.say('\nAn agent with nothing but MCP, and 10 USDC …')
const agent = await startAgent({ chain, key, directoryUrl: url, folder, progress })

type Found = { providers: { id: string; models: { inputPer1kTokens: string }[] }[] }
const found = await agent.call<Found>('drain_providers', { category: 'llm' })
const priceOf = (provider: Found['providers'][number]) =>
  Usdc.parse(provider.models[0]?.inputPer1kTokens as string)
const [cheap, dear] = found.providers.sort((one, other) => Number(priceOf(one) - priceOf(other)))
if (!cheap || !dear) throw new Error('The directory doesn’t list two providers.')

const first = await scoreOf(cheap.id)
// Whoever has paid one provider only may be that provider: praise counts as far as others were paid, too.
await ask(dear.id, 1)
const paid1 = await ask(cheap.id, questions)
await agent.call('drain_feedback', { providerId: cheap.id, outcome: 'success' })
await market.directory.round()
await market.directory.round()
const last = await scoreOf(cheap.id)

await agent.close()
await Promise.all(providers.map((provider) => provider.close()))
await market.close()
rmSync(folder, { recursive: true, force: true })

if (!json) {
  progress.say('')
  printTable([
    ['Cheaper', `${cheap.id}, ${Usdc.display(priceOf(cheap))} a request`],
    ['Questions', String(questions)],
    ['Paid', `${paid1} USDC`],
    ['Score before', first.toFixed(4)],
    ['Score after', last.toFixed(4)],
  ])
}
if (cheap.id !== 'fair-answers') throw new Error(`${cheap.id} was taken for the cheaper one.`)
if (Usdc.parse(paid1) !== BigInt(questions) * Usdc.parse(prices['Fair Answers'])) {
  throw new Error(`${paid1} USDC was paid for ${questions} questions.`)
}
if (!(last > first)) throw new Error(`The score did not rise: ${first} before, ${last} after.`)
if (json)
  console.log(JSON.stringify({ provider: cheap.id, questions, paid: paid1, before: first, after: last }))

/** Opens a channel, asks, and closes. What was paid, in USDC. */
async function ask(provider: string, count: number): Promise<string> {
  const opening = { provider, amount: '0.2', duration: '2h' }
  const { channelId } = await agent.call<{ channelId: string }>('drain_open_channel', opening)
  for (let number = 1; number <= count; number += 1) {
    const messages = [{ role: 'user', content: `Question ${number}: what is a market?` }]
    await agent.call('drain_chat', { channelId, messages })
  }
  const { paid } = await agent.call<{ paid: string }>('drain_cooperative_close', { channelId })
  return paid
}

async function scoreOf(id: string): Promise<number> {
  const response = await fetch(`${url}/api/directory/providers/${id}`)
  const { score } = await response.json()
  return score.value
}

/** A paid API at a flat price. */
async function startProvider(name: string, price: string, account: LocalAccount) {
  const { chainId, rpcUrl, deployment } = chain
  const paywall = createPaywall({
    ...{ account, chainId, rpcUrl, name, log: () => {} },
    ...{ contractAddress: deployment.contract, usdcAddress: deployment.token },
    ledger: sqliteLedger(join(folder, `${account.address}.db`)),
    models: { answers: Pricing.flat(price) },
    docs: `POST /v1/chat/completions with model "answers" and messages, as with OpenAI. ${price} USDC a request, whatever it says.`,
  })
  await paywall.ready()
  const app = new Hono()
  app.use(endpoints(paywall))
  app.post('/v1/chat/completions', paid(paywall, price), (context) => {
    const message = { role: 'assistant', content: 'A place where who needs something finds who has it.' }
    const choices = [{ index: 0, message, finish_reason: 'stop' }]
    return context.json({ id: 'answer', object: 'chat.completion', model: 'answers', choices })
  })
  const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' })
  await new Promise<void>((resolve) => server.once('listening', () => resolve()))
  const { port } = server.address() as { port: number }
  return {
    apiUrl: `http://127.0.0.1:${port}`,
    async close() {
      await new Promise((resolve) => {
        server.close(resolve)
        if ('closeAllConnections' in server) server.closeAllConnections()
      })
      await paywall.close()
    },
  }
}
