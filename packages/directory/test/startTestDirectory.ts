/** A directory with one chain, one real provider, and accounts that own things. */
import { createHash } from 'node:crypto'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { DirectoryAction, Pricing } from '@drain/core'
import { createPaywall, memoryLedger } from '@drain/provider'
import { endpoints, paid } from '@drain/provider/hono'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { pino } from 'pino'
import type { HDAccount, LocalAccount } from 'viem'
import { type Directory, type StartOptions, startDirectory } from '../src/startDirectory.ts'
import { openSqlite } from '../src/store/sqlite.ts'

export const operatorToken = 'the-token-of-an-operator-in-tests'

export type TestProvider = { url: string; account: LocalAccount; close(): Promise<void> }

/** What tests look into. */
// biome-ignore lint/suspicious/noExplicitAny: the shape of an answer is what the tests find out.
export type Json = any

export type TestDirectory = {
  chain: LocalChain
  directory: Directory
  url: string
  /** Starts a real provider on an account. */
  startProvider(
    account: LocalAccount,
    options?: { name?: string; price?: string; docs?: string; answer?: string },
  ): Promise<TestProvider>
  get(
    path: string,
    headers?: Record<string, string>,
  ): Promise<{ status: number; json: Json; headers: Headers }>
  send(
    method: string,
    path: string,
    body: object,
    headers?: Record<string, string>,
  ): Promise<{ status: number; json: Json }>
  /** The body of a change, signed. */
  sign(
    account: Pick<LocalAccount, 'signTypedData'>,
    action: string,
    subject: string,
    body: object,
    options?: { issuedAt?: number; directory?: string },
  ): Promise<Record<string, unknown>>
  close(): Promise<void>
}

export async function startTestDirectory(options: Partial<StartOptions> = {}): Promise<TestDirectory> {
  const chain = await startLocalChain()
  const database = options.database ?? (await openSqlite(':memory:'))
  const directory = await startDirectory({
    ...{
      port: 0,
      allowLoopback: true,
      confirmations: 0,
      requestsPerMinute: 1e9,
      log: pino({ level: 'silent' }),
    },
    chains: [{ deployment: chain.deployment, rpcUrl: chain.rpcUrl }],
    operators: { addresses: [], tokenHash: createHash('sha256').update(operatorToken).digest('hex') },
    ...options,
    database,
  })
  const { url } = directory
  const running: TestProvider[] = []

  async function send(method: string, path: string, body: object, headers: Record<string, string> = {}) {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })
    return { status: response.status, json: await response.json() }
  }

  return {
    ...{ chain, directory, url, send },
    async startProvider(account, { name = 'A provider', price = '0.001', docs, answer = 'yes' } = {}) {
      const paywall = createPaywall({
        ...{ account, chainId: chain.chainId, rpcUrl: chain.rpcUrl, name, log: () => {} },
        ...{ contractAddress: chain.deployment.contract, usdcAddress: chain.deployment.token },
        ...{ ledger: memoryLedger(), models: { small: Pricing.flat(price) } },
        docs:
          docs ??
          'Answers whatever is asked of it with the same word, which is enough for a test of a directory.',
      })
      await paywall.ready()
      const app = new Hono()
      app.use(endpoints(paywall))
      app.post('/v1/chat/completions', paid(paywall, price), (context) =>
        context.json({
          model: 'small',
          choices: [{ index: 0, message: { role: 'assistant', content: answer } }],
        }),
      )
      const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' })
      await new Promise<void>((resolve) => server.once('listening', resolve))
      const address = server.address() as { port: number }
      const provider = {
        ...{ account, url: `http://127.0.0.1:${address.port}` },
        async close() {
          const closed = new Promise((resolve) => server.close(resolve))
          if ('closeAllConnections' in server) server.closeAllConnections()
          await closed
          await paywall.close()
        },
      }
      running.push(provider)
      return provider
    },
    async get(path, headers = {}) {
      const response = await fetch(`${url}${path}`, { headers })
      const text = await response.text()
      return { status: response.status, headers: response.headers, json: text && JSON.parse(text) }
    },
    async sign(account, action, subject, body, { issuedAt = Date.now(), directory: origin = url } = {}) {
      const { chainId } = chain
      const sent = { ...body, chainId }
      const signed = { directory: origin, action, subject, body: sent, issuedAt: BigInt(issuedAt) }
      const signature = await account.signTypedData(DirectoryAction.typedData(signed, { chainId }))
      return { ...sent, issuedAt, signature }
    },
    async close() {
      await Promise.all(running.map((provider) => provider.close()))
      await directory.close()
      await database.close()
      await chain.close()
    },
  }
}

/** What a complete listing says. */
export function aListing(
  apiUrl: string,
  account: Pick<HDAccount, 'address'>,
  changes: object = {},
): Record<string, unknown> {
  return {
    ...{ name: 'A provider', description: 'It answers.', apiUrl, providerAddress: account.address },
    ...{
      category: 'llm',
      website: `${apiUrl}/`,
      docsUrl: `${apiUrl}/v1/docs`,
      logoUrl: `${apiUrl}/logo.svg`,
    },
    contactEmail: 'somebody@provider.example',
    ...changes,
  }
}
