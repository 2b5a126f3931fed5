/** What those who paid say of providers, on a running directory and a chain; and a provider that answers every probe and cheats them. */
import { createDrainClient } from '@drain/consumer'
import { Feedback } from '@drain/core'
import type { Hex, LocalAccount } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  aListing,
  operatorToken,
  startTestDirectory,
  type TestDirectory,
  type TestProvider,
} from './startTestDirectory.ts'

const register = '/api/directory/providers'
const bearer = { Authorization: `Bearer ${operatorToken}` }
const price = '0.5'
const confirmations = 5

let market: TestDirectory
let honest: TestProvider
let cheater: TestProvider
/** Milliseconds that the directory's clock is ahead: reports and changes of one signer are later, one by one. */
let ahead = 0
let ids: { honest: string; cheater: string }

beforeAll(async () => {
  const prober = privateKeyToAccount(generatePrivateKey())
  market = await startTestDirectory({
    prober,
    confirmations,
    now: () => Date.now() + ahead,
    probeEveryMs: 1_000,
  })
  const [, , one, other] = market.chain.accounts
  honest = await market.startProvider(one as LocalAccount, { name: 'Honest', price })
  cheater = await market.startProvider(other as LocalAccount, { name: 'Cheater', price, answer: '…' })
  ids = { honest: await list(honest, 'Honest'), cheater: await list(cheater, 'Cheater') }
})
afterAll(() => market?.close())

async function list(provider: TestProvider, name: string): Promise<string> {
  const issuedAt = Date.now() + ahead
  const { url, account } = provider
  const body = await market.sign(account, 'provider.register', url, aListing(url, account, { name }), {
    issuedAt,
  })
  const { json } = await market.send('POST', register, body)
  const decision = { action: 'approve', id: json.id }
  expect((await market.send('POST', '/api/operators/decisions', decision, bearer)).status).toBe(200)
  return json.id
}

/** Payments become final, and count. */
async function settle(): Promise<void> {
  await market.chain.testClient.mine({ blocks: confirmations })
  await market.directory.round()
}

const partsOf = (id: string) => market.directory.rooms.snapshot.get(id)?.scoreParts
const scoreOf = (id: string): number => market.directory.rooms.snapshot.get(id)?.score ?? Number.NaN
const found = async (query: string): Promise<string[]> => {
  const { json } = await market.get(`/api/mcp/providers?${query}`)
  return json.providers.map(({ id }: { id: string }) => id)
}

/** A wallet with 10 USDC. */
async function aConsumer() {
  const { chain } = market
  const account = privateKeyToAccount(generatePrivateKey())
  await chain.fund(account.address, '10')
  await chain.testClient.setBalance({ address: account.address, value: 10n ** 18n })
  const walletClient = chain.walletClient(account)
  const limits = { perRequest: '1', perChannel: '5', perDay: '100' }
  const client = createDrainClient({ walletClient, deployment: chain.deployment, limits })
  return {
    account,
    /** What it is answered, and the channel that has paid for it. */
    async ask(provider: TestProvider, times: number): Promise<{ answer: string; channelId: Hex }> {
      let answer = ''
      for (let time = 0; time < times; time++) {
        const body = JSON.stringify({ model: 'small', messages: [{ role: 'user', content: 'Yes or no?' }] })
        const headers = { 'Content-Type': 'application/json' }
        const url = `${provider.url}/v1/chat/completions`
        const response = await client.fetch(url, { method: 'POST', headers, body })
        answer = (await response.json()).choices[0].message.content
      }
      const { channelId } = await client.close(new URL(provider.url).origin)
      return { answer, channelId }
    },
    /** As drain-mcp sends it. */
    async report(providerId: string, outcome: Feedback.Outcome, channelId: Hex) {
      const signed: Feedback.Unsigned = {
        ...{ providerId, outcome, channelId, protocol: 'drain', reason: '' },
        issuedAt: BigInt(Math.floor((Date.now() + ahead) / 1_000)),
      }
      const typedData = Feedback.typedData(signed, chain.deployment)
      const signature = await account.signTypedData(typedData)
      const feedback = Feedback.toJson({ ...signed, consumer: account.address, signature })
      return market.send('POST', '/api/feedback', feedback)
    },
  }
}

it('a report that comes before its payment is final counts as soon as it is', async () => {
  const consumer = await aConsumer()
  const { channelId } = await consumer.ask(honest, 1)
  await market.directory.round()
  expect(await consumer.report(ids.honest, 'failure', channelId)).toMatchObject({
    status: 200,
    json: { ok: true, counted: false },
  })
  await market.directory.round()
  expect(partsOf(ids.honest)?.blamed).toBe('0')
  await settle()
  expect(partsOf(ids.honest)?.blamed).toBe('500000')
  // They have agreed: the later one counts, at once.
  ahead += 2_000
  expect((await consumer.report(ids.honest, 'success', channelId)).json.counted).toBe(true)
  await settle()
  expect(partsOf(ids.honest)?.blamed).toBe('0')
})

it('a cheater stands as high as an honest one, until those who paid it report; and does not come back by registering anew', async () => {
  for (let round = 0; round < 30; round++) {
    ahead += 2_000
    await market.directory.round()
  }
  // Probes can't tell them apart.
  expect(scoreOf(ids.cheater)).toBeCloseTo(scoreOf(ids.honest), 2)
  expect(await found(`minScore=${(scoreOf(ids.cheater) - 0.01).toFixed(2)}`)).toContain(ids.cheater)

  for (let count = 0; count < 3; count++) {
    const consumer = await aConsumer()
    const good = await consumer.ask(honest, 1)
    const bad = await consumer.ask(cheater, 2)
    expect([good.answer, bad.answer]).toEqual(['yes', '…'])
    expect((await consumer.report(ids.honest, 'success', good.channelId)).status).toBe(200)
    expect((await consumer.report(ids.cheater, 'failure', bad.channelId)).status).toBe(200)
  }
  await settle()
  expect(partsOf(ids.honest)).toMatchObject({
    praised: '1500000',
    blamed: '0',
  })
  expect(partsOf(ids.cheater)).toMatchObject({
    praised: '0',
    blamed: '3000000',
  })
  expect(scoreOf(ids.cheater)).toBeLessThan(scoreOf(ids.honest) / 2)
  expect(await found('minScore=0.5')).toEqual([ids.honest])
  expect(await found('')).toEqual([ids.honest, ids.cheater])

  const late = await aConsumer()
  const { channelId } = await late.ask(cheater, 1)
  const { account } = cheater
  const issuedAt = Date.now() + ahead + 1
  const leaving = await market.sign(account, 'provider.withdraw', ids.cheater, {}, { issuedAt })
  expect((await market.send('POST', `${register}/${ids.cheater}/withdraw`, leaving)).status).toBe(200)
  // It has left before its last victim could speak.
  expect((await late.report(ids.cheater, 'failure', channelId)).status).toBe(200)
  ahead += 2_000
  const again = await list(cheater, 'A new name')
  await settle()
  expect(again).not.toBe(ids.cheater)
  expect(partsOf(again)?.blamed).toBe('3500000')
  expect(await found('minScore=0.5')).toEqual([ids.honest])
})
