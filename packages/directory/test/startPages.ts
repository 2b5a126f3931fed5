/** A directory with its pages and two real providers on a private chain, and browsers that look at them. */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { DirectoryAction, Usdc } from '@drain/core'
import { sqliteLedger } from '@drain/provider/sqlite'
import { pino } from 'pino'
import type { BrowserContext, Page } from 'playwright-core'
import { type Address, erc20Abi, type HDAccount, type Hex, type PrivateKeyAccount, toHex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { expect } from 'vitest'
import { readConfig } from '../../../examples/ai-provider/src/config.ts'
import { startServer } from '../../../examples/ai-provider/src/server.ts'
import { startTextTools } from '../../../examples/providers/src/textTools.ts'
import { startChromium } from '../../consumer/test/chromium.ts'
import { buildAssets } from '../scripts/buildAssets.ts'
import { type Directory, type StartOptions, startDirectory } from '../src/startDirectory.ts'
import { openSqlite } from '../src/store/sqlite.ts'
import { injectWallet, type TestWallet } from './injectWallet.ts'

export const operatorToken = 'a-token-of-operators-that-is-long-enough'

export type PagesKit = {
  chain: LocalChain
  directory: Directory
  /** Sells a language model, streams, and opens channels for wallets without gas. */
  chat: Seller
  /** Sells tools at flat prices, and opens nothing for others. */
  tools: Seller
  operator: PrivateKeyAccount
  /** Registers a seller by the API, and approves it. Returns its id. */
  list(seller: Seller, changes?: Record<string, unknown>): Promise<string>
  /** Of the directory's API. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>
  /** A browser of its own with a wallet. A new account without anything by default. */
  browse(account?: PrivateKeyAccount): Promise<Visitor>
  /** Base units. */
  usdcOf(address: Address): Promise<bigint>
  close(): Promise<void>
}

export type Seller = { url: string; account: PrivateKeyAccount }

export type Visitor = {
  browser: BrowserContext
  page: Page
  wallet: TestWallet
  goto(path: string): Promise<void>
  /** Closes the browser. Nothing may have gone wrong in its pages, and no content policy may have stopped anything. */
  leave(): Promise<void>
}

export const profile = {
  description: 'Answers questions, for tests.',
  contactEmail: 'owner@provider.example',
  website: 'https://provider.example/',
  logoUrl: 'https://provider.example/logo.svg',
  docsUrl: 'https://provider.example/docs',
} as const

export async function startPages(options: Partial<StartOptions> = {}): Promise<PagesKit> {
  const folder = mkdtempSync(join(tmpdir(), 'drain-pages-'))
  const chain = await startLocalChain()
  const { chainId, rpcUrl, deployment } = chain
  const [chatAccount, toolsAccount, operator, giver] = [1, 2, 3, 4].map((index) =>
    accountOf(chain.accounts[index]),
  )
  if (!chatAccount || !toolsAccount || !operator || !giver) throw new Error('The chain has too few accounts.')
  const place = { chainId, rpcUrl, contractAddress: deployment.contract, usdcAddress: deployment.token }

  const chat = await startServer(
    readConfig({
      PROVIDER_PRIVATE_KEY: keyOf(chain.accounts[1]),
      CHAIN_ID: String(chainId),
      RPC_URL: rpcUrl,
      CONTRACT_ADDRESS: deployment.contract,
      USDC_ADDRESS: deployment.token,
      PORT: '0',
      DATABASE: join(folder, 'chat.db'),
      RELAY_COIN_PRICE: '0.25',
      MIN_PAYOUT: '0.000001',
    }),
    () => {},
  )
  const ledger = sqliteLedger(join(folder, 'tools.db'))
  const tools = await startTextTools({ ...place, account: toolsAccount, ledger, log: () => {} })

  const assets = join(folder, 'assets')
  await buildAssets(assets)
  const database = await openSqlite(':memory:')
  const directory = await startDirectory({
    ...{ database, chains: [{ deployment, rpcUrl }], assets, port: 0, allowLoopback: true },
    operators: {
      addresses: [operator.address],
      tokenHash: createHash('sha256').update(operatorToken).digest('hex'),
    },
    funds: { account: giver, chainId, invites: { gas: 10n ** 18n, usdc: Usdc.parse('10') } },
    confirmations: 0,
    requestsPerMinute: 1e6,
    log: pino({ level: 'silent' }),
    ...options,
  })

  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(`${directory.settings.origin}${path}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })

  async function list({ url, account }: Seller, changes: Record<string, unknown> = {}): Promise<string> {
    const body = {
      ...{ name: 'Chat', apiUrl: url, providerAddress: account.address, category: 'llm', streaming: true },
      ...{ ...profile, ...changes, chainId },
    }
    const issuedAt = Date.now()
    const action = { action: 'provider.register', subject: url, body, issuedAt: BigInt(issuedAt) }
    const typedData = DirectoryAction.typedData(
      { directory: directory.settings.origin, ...action },
      { chainId },
    )
    const signature = await account.signTypedData(typedData)
    const registered = await post('/api/directory/providers', { ...body, issuedAt, signature })
    const { id, ...answer } = await registered.json()
    expect([registered.status, answer]).toEqual([201, expect.anything()])
    const decision = { action: 'approve', id, note: '' }
    const decided = await post('/api/operators/decisions', decision, {
      Authorization: `Bearer ${operatorToken}`,
    })
    expect(decided.status).toBe(200)
    return id
  }

  async function browse(account?: PrivateKeyAccount): Promise<Visitor> {
    const browser = await startChromium(mkdtempSync(join(folder, 'profile-')))
    const failures: string[] = []
    browser.on('weberror', (failure) => failures.push(String(failure.error())))
    browser.on('console', (message) => {
      if (/Content[- ]Security[- ]Policy/i.test(message.text())) failures.push(message.text())
    })
    const wallet = await injectWallet(browser, chain, account)
    const page = await browser.newPage()
    // A loaded machine needs more than the half minute that is the default.
    page.setDefaultTimeout(120_000)
    return {
      ...{ browser, page, wallet },
      async goto(path) {
        await page.goto(`${directory.settings.origin}${path}`)
      },
      async leave() {
        await browser.close()
        expect(failures).toEqual([])
      },
    }
  }

  return {
    ...{ chain, directory, operator, list, post, browse },
    chat: { url: chat.url, account: chatAccount },
    tools: { url: tools.url, account: toolsAccount },
    usdcOf: (address) =>
      chain.publicClient.readContract({
        address: deployment.token,
        abi: erc20Abi,
        functionName: 'balanceOf',
        args: [address],
      }),
    async close() {
      await directory.close()
      await database.close()
      await Promise.all([chat.close(), tools.close()])
      await chain.close()
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

function keyOf(account: HDAccount | undefined): Hex {
  return toHex(account?.getHdKey().privateKey ?? 0)
}

const accountOf = (account: HDAccount | undefined) => privateKeyToAccount(keyOf(account))
