/** The page in a real browser, with a wallet that has USDC and no gas, the reference provider and a private chain. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { drainChannelAbi, Usdc } from '@drain/core'
import type { BrowserContext, Page } from 'playwright-core'
import { type Address, erc20Abi, toHex } from 'viem'
import { build, type PreviewServer, preview } from 'vite'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { hasChromium, startChromium } from '../../../packages/consumer/test/chromium.ts'
import { readConfig } from '../../ai-provider/src/config.ts'
import { type RunningServer, startServer } from '../../ai-provider/src/server.ts'
import { injectWallet, type TestWallet } from './TestWallet.ts'

const source = (path: string) => fileURLToPath(new URL(`../../../packages/${path}`, import.meta.url))
const funds = Usdc.parse('5')

describe.skipIf(!hasChromium)('the page', () => {
  let folder: string
  let chain: LocalChain
  let provider: RunningServer
  let site: PreviewServer
  let browser: BrowserContext
  let wallet: TestWallet
  let page: Page
  const failures: Error[] = []

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'drain-browser-'))
    chain = await startLocalChain()
    const { contract, token } = chain.deployment
    provider = await startServer(
      readConfig({
        PROVIDER_PRIVATE_KEY: toHex(chain.accounts[1].getHdKey().privateKey ?? 0),
        CHAIN_ID: String(chain.chainId),
        RPC_URL: chain.rpcUrl,
        CONTRACT_ADDRESS: contract,
        USDC_ADDRESS: token,
        PORT: '0',
        DATABASE: join(folder, 'provider.db'),
        RELAY_COIN_PRICE: '0.25',
        MIN_PAYOUT: '0.000001',
      }),
      () => {},
    )
    vi.stubEnv('VITE_PROVIDER', provider.url)
    vi.stubEnv('VITE_CHAIN_ID', String(chain.chainId))
    vi.stubEnv('VITE_RPC_URL', chain.rpcUrl)
    vi.stubEnv('VITE_CONTRACT', contract)
    vi.stubEnv('VITE_USDC', token)
    const config = {
      root: fileURLToPath(new URL('..', import.meta.url)),
      logLevel: 'error',
      build: { outDir: join(folder, 'site'), emptyOutDir: true },
      preview: { port: 0, host: '127.0.0.1' },
      resolve: {
        alias: {
          '@drain/core': source('core/src/index.ts'),
          '@drain/keys': source('keys/src/index.ts'),
          '@drain/consumer': source('consumer/src/index.ts'),
        },
      },
    } as const
    await build(config)
    site = await preview(config)
  })
  afterAll(async () => {
    vi.unstubAllEnvs()
    await site?.close()
    await provider?.close()
    await chain?.close()
    if (folder) await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  })

  beforeEach(async () => {
    browser = await startChromium(await mkdtemp(join(folder, 'profile-')))
    browser.on('weberror', (failure) => failures.push(failure.error()))
    wallet = await injectWallet(browser, chain.chainId)
    await chain.fund(wallet.address, funds)
    page = await openTab()
  })
  afterEach(async () => {
    await browser?.close()
    expect(failures.splice(0)).toEqual([])
  })

  async function openTab(): Promise<Page> {
    const tab = await browser.newPage()
    await tab.goto(site.resolvedUrls?.local[0] ?? '')
    return tab
  }

  const button = (name: RegExp, tab = page) => tab.getByRole('button', { name })
  const answers = (tab = page) => tab.locator('#log li.answer')

  async function connectAndOpen(): Promise<void> {
    await button(/connect test wallet/i).click()
    await button(/open with one signature/i).click()
    await page.getByRole('heading', { name: 'Chat', exact: true }).waitFor()
  }

  /** Sends a message and waits for its answer and its cost, in base units. */
  async function ask(question: string, tab = page): Promise<bigint> {
    const before = await answers(tab).count()
    await tab.getByLabel('Your message').fill(question)
    await button(/send/i, tab).click()
    const answer = answers(tab).nth(before)
    await answer.getByText(/^[0-9.]+ USDC$/).waitFor()
    expect((await answer.locator('span').textContent())?.length).toBeGreaterThan(20)
    return Usdc.parse(((await answer.locator('small').textContent()) ?? '').replace(' USDC', ''))
  }

  const figure = async (id: string) =>
    ((await page.locator(`#${id}`).textContent()) ?? '').replace(' USDC', '')

  const usdcOf = (address: Address) =>
    chain.publicClient.readContract({
      address: chain.deployment.token,
      abi: erc20Abi,
      functionName: 'balanceOf',
      args: [address],
    })

  const channelsOf = (consumer: Address) =>
    chain.publicClient.getContractEvents({
      address: chain.deployment.contract,
      abi: drainChannelAbi,
      eventName: 'ChannelOpened',
      args: { consumer },
      fromBlock: 0n,
    })

  test('one prompt opens, none pays for five messages and a reload between them, none closes', async () => {
    await connectAndOpen()
    expect(wallet.prompts).toEqual(['eth_requestAccounts', 'eth_signTypedData_v4'])
    expect(await usdcOf(wallet.address)).toBe(funds - Usdc.parse('1'))

    let spent = 0n
    for (const number of [1, 2, 3]) spent += await ask(`Question ${number}: what is a channel?`)
    await page.reload()
    await page.getByLabel('Your message').waitFor()
    await expect.poll(() => figure('spent')).toBe(Usdc.format(spent))
    for (const number of [4, 5]) spent += await ask(`Question ${number}: what is a voucher?`)
    await expect.poll(() => figure('left')).toBe(Usdc.format(Usdc.parse('1') - spent))

    await button(/close, and get the rest back/i).click()
    await page.getByRole('heading', { name: 'Closed' }).waitFor()
    const refund = Usdc.parse('1') - spent
    expect([await figure('refund'), await figure('kept')]).toEqual([Usdc.format(refund), Usdc.format(spent)])
    expect(await usdcOf(wallet.address)).toBe(funds - spent)
    expect(await usdcOf(chain.deployment.contract)).toBe(0n)
    expect(wallet.prompts).toEqual(['eth_requestAccounts', 'eth_signTypedData_v4'])
    // It never had gas, and never needed any.
    expect(await chain.publicClient.getBalance(wallet)).toBe(0n)
    expect(await chain.publicClient.getTransactionCount(wallet)).toBe(0)
  })

  test('two tabs pay from one channel at the same time', async () => {
    await connectAndOpen()
    const other = await openTab()
    await other.getByLabel('Your message').waitFor()
    const askAll = async (tab: Page, name: string) => {
      let sum = 0n
      for (const number of [1, 2, 3]) sum += await ask(`${name} asks ${number}`, tab)
      return sum
    }
    const sums = await Promise.all([askAll(page, 'one'), askAll(other, 'other')])
    const spent = sums.reduce((sum, one) => sum + one, 0n)
    expect(await channelsOf(wallet.address)).toHaveLength(1)
    await button(/close, and get the rest back/i).click()
    await page.getByRole('heading', { name: 'Closed' }).waitFor()
    expect(await figure('kept')).toBe(Usdc.format(spent))
    expect(await usdcOf(wallet.address)).toBe(funds - spent)
    expect(wallet.prompts).toEqual(['eth_requestAccounts', 'eth_signTypedData_v4'])
  })

  test('who declines in the wallet is told that nothing is locked, and can still open later', async () => {
    await button(/connect test wallet/i).click()
    await button(/open with one signature/i).waitFor()
    wallet.declines = true
    await button(/open with one signature/i).click()
    await page.getByRole('alert').waitFor()
    expect(await page.getByRole('alert').textContent()).toBe(
      'You declined in the wallet. Nothing was signed, and nothing is locked.',
    )
    expect(await usdcOf(wallet.address)).toBe(funds)
    expect(await channelsOf(wallet.address)).toEqual([])

    wallet.declines = false
    await button(/open with one signature/i).click()
    await page.getByRole('heading', { name: 'Chat', exact: true }).waitFor()
    expect(await page.getByRole('alert').isVisible()).toBe(false)
    expect(await channelsOf(wallet.address)).toHaveLength(1)
    expect(wallet.prompts).toEqual(['eth_requestAccounts', 'eth_signTypedData_v4', 'eth_signTypedData_v4'])
  })
})
