/** A chain, a payer, and what the tests of all providers ask of each. */
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { createDrainClient, memoryLedger, Usdc } from '@drain-protocol/sdk'
import { expect } from 'vitest'
import type { ProviderOptions, RunningProvider } from '../src/provider.ts'

export type Kit = Awaited<ReturnType<typeof startKit>>

export async function startKit() {
  const chain: LocalChain = await startLocalChain()
  const { contract: contractAddress, token: usdcAddress } = chain.deployment
  const closing: RunningProvider[] = []
  let accounts = 1

  /** Starts a provider on an account of its own. */
  async function start<provider extends RunningProvider>(
    startProvider: (options: ProviderOptions) => Promise<provider>,
  ): Promise<provider> {
    const account = chain.accounts[accounts++]
    if (!account) throw new Error('There is no account left.')
    const place = { chainId: chain.chainId, rpcUrl: chain.rpcUrl, contractAddress, usdcAddress }
    const provider = await startProvider({ account, ...place, ledger: memoryLedger(), log: () => {} })
    closing.push(provider)
    return provider
  }

  const client = createDrainClient({
    account: chain.accounts[0],
    deployment: chain.deployment,
    rpcUrl: chain.rpcUrl,
    limits: { perRequest: '0.2', perChannel: '1', perDay: '100', locked: '100' },
  })

  return {
    chain,
    client,
    start,
    async close() {
      await Promise.all(closing.map((provider) => provider.close()))
      await chain.close()
    },
  }
}

/** What a request was charged, in base units, by the channel's own count before and after. */
export async function chargeOf(
  { client }: Kit,
  { url }: Pick<RunningProvider, 'url'>,
  request: () => Promise<unknown>,
): Promise<bigint> {
  const charged = async () =>
    (await client.channels())
      .filter(({ origin }) => origin === url)
      .reduce((sum, channel) => sum + Usdc.parse(channel.charged), 0n)
  const before = await charged()
  await request()
  return (await charged()) - before
}

/** Sends a chat request with a task, and resolves with what the answer's content holds. */
export async function ask(
  { client }: Kit,
  { url }: Pick<RunningProvider, 'url'>,
  model: string,
  input: unknown,
) {
  const response = await client.fetch(`${url}/v1/chat/completions`, chatOf(model, input))
  const body = await response.json()
  if (!response.ok) throw new Error(`${response.status}: ${JSON.stringify(body)}`)
  return JSON.parse(body.choices[0].message.content)
}

/** A chat request with a task, or with whatever stands in its place. */
export function chatOf(model: unknown, input: unknown, more: object = {}) {
  const content = typeof input === 'string' ? input : JSON.stringify(input)
  return postOf({ model, messages: [{ role: 'user', content }], ...more })
}

export function postOf(body: unknown) {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: text }
}

/** Bad requests are told what to do before they are asked to pay: a plain `fetch`, without a voucher, gets no 402. */
export async function expectRefused(url: string, init: RequestInit, status: number): Promise<void> {
  const response = await fetch(url, init)
  const { error } = await response.json()
  expect([response.status, error]).toEqual([
    status,
    expect.objectContaining({ message: expect.stringMatching(/.{20}/), code: expect.any(String) }),
  ])
}

/** What no provider of chat completions may take, whatever it sells: the docs' example, spoiled. */
export async function expectRobust(provider: RunningProvider): Promise<void> {
  const url = `${provider.url}/v1/chat/completions`
  const { request } = (await examplesOf(provider))[0] ?? {}
  const bad: [number, unknown][] = [
    [400, ''],
    [400, '{'],
    [400, '[]'],
    [400, 'null'],
    [400, { ...request, messages: undefined }],
    [400, { ...request, messages: [] }],
    [400, { ...request, messages: {} }],
    [400, { ...request, messages: [null, 5, 'x'] }],
    [400, { ...request, messages: [{ role: 'user', content: { a: 1 } }] }],
    [400, { ...request, messages: [{ role: 'user' }] }],
    [404, { ...request, model: '__proto__' }],
    [404, { ...request, model: 'constructor' }],
    [404, { ...request, model: undefined }],
    [404, { ...request, model: { toString: 1 } }],
    [413, 'x'.repeat(300_000)],
  ]
  for (const [status, body] of bad) await expectRefused(url, postOf(body), status)
  expect((await fetch(`${provider.url}/health`)).status).toBe(200)
}

/** The requests that `/v1/docs` shows, and the answers. */
export async function examplesOf({ url }: Pick<RunningProvider, 'url'>) {
  const docs = await (await fetch(`${url}/v1/docs`)).text()
  expect(docs.length).toBeGreaterThan(100)
  const found = [...docs.matchAll(/^POST (\/v1\/chat\/completions)\n(\{.*\})\n\n200\n(\{.*\})$/gm)]
  expect(found.length).toBeGreaterThan(0)
  return found.map(([, path = '', request = '', answer = '']) => ({
    path,
    request: JSON.parse(request),
    answer: JSON.parse(answer),
  }))
}

/** Sends the docs' examples as they stand there, and resolves with the content of each answer, beside what the docs promise. */
export async function sendExamples({ client }: Kit, provider: RunningProvider) {
  const outcomes = []
  for (const { path, request, answer } of await examplesOf(provider)) {
    const response = await client.fetch(`${provider.url}${path}`, postOf(request))
    expect(response.status).toBe(200)
    const body = await response.json()
    expect(body).toMatchObject({ object: answer.object, choices: [{ index: 0, finish_reason: 'stop' }] })
    outcomes.push({
      content: body.choices[0].message.content as string,
      promised: answer.choices[0].message.content as string,
    })
  }
  return outcomes
}
