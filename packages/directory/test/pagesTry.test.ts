/** The try-it page in a real browser: one signature, a chat, its cost, the rest back. The chain has the last word. */
import { drainChannelAbi, Usdc } from '@drain/core'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { hasChromium } from '../../consumer/test/chromium.ts'
import { type PagesKit, startPages, type Visitor } from './startPages.ts'

/** Several browsers and a chain, on a machine that may have other things to do. */
vi.setConfig({ testTimeout: 240_000 })

describe.skipIf(!hasChromium)('the try-it page', () => {
  const funds = Usdc.parse('5')
  let kit: PagesKit
  let visitor: Visitor
  let [chatId, toolsId] = ['', '']

  beforeAll(async () => {
    kit = await startPages()
    chatId = await kit.list(kit.chat, { name: 'Chat' })
    toolsId = await kit.list(kit.tools, { name: 'Tools', category: 'data', streaming: false })
  })
  afterAll(async () => {
    await kit?.close()
  })
  beforeEach(async () => {
    visitor = await kit.browse()
    await kit.chain.fund(visitor.wallet.address, funds)
  })
  afterEach(async () => {
    await visitor?.leave()
  })

  const button = (name: RegExp | string) => visitor.page.getByRole('button', { name })
  const heading = (name: string) => visitor.page.getByRole('heading', { name, exact: true })
  const shown = async (name: string) =>
    (await visitor.page.locator(`[data-show="${name}"]`).textContent()) ?? ''
  const figure = async (name: string) => (await shown(name)).replace(' USDC', '')

  async function open(id: string, way: RegExp): Promise<void> {
    await visitor.goto(`/try?provider=${id}`)
    await button(/connect test wallet/i).click()
    await button(way).click()
    await heading('Ask').waitFor()
  }

  /** Sends what the form has, and waits for its cost, in base units. */
  async function send(): Promise<{ text: string; cost: bigint }> {
    const answers = visitor.page.locator('#log li.answer')
    const before = await answers.count()
    await button('Send').click()
    const answer = answers.nth(before)
    await answer.getByText(/^[0-9.]+ USDC$/).waitFor()
    await expect.poll(() => answer.getAttribute('aria-busy')).toBeNull()
    const cost = Usdc.parse(((await answer.locator('small').textContent()) ?? '').replace(' USDC', ''))
    return { text: (await answer.locator('span').textContent()) ?? '', cost }
  }

  async function ask(question: string): Promise<bigint> {
    await visitor.page.getByLabel('Your message').fill(question)
    const { text, cost } = await send()
    expect(text.length).toBeGreaterThan(20)
    return cost
  }

  const opened = () =>
    kit.chain.publicClient.getContractEvents({
      address: kit.chain.deployment.contract,
      abi: drainChannelAbi,
      eventName: 'ChannelOpened',
      args: { consumer: visitor.wallet.address },
      fromBlock: 0n,
    })

  test('a provider is found by its name, and its page leads on', async () => {
    await visitor.goto('/try')
    await visitor.page.getByLabel('Find a provider or a model').fill('tools')
    await button('Search').click()
    await visitor.page.getByRole('link', { name: 'Tools' }).click()
    await heading('Try Tools').waitFor()
    expect(visitor.page.url()).toContain(`/try?provider=${toolsId}`)
  })

  test('one signature opens; chats are streamed and paid; a reload loses nothing; the rest comes back', async () => {
    const { page, wallet } = visitor
    await open(chatId, /open with one signature/i)
    expect(wallet.prompts).toEqual(['eth_requestAccounts', 'eth_signTypedData_v4'])
    expect(await kit.usdcOf(wallet.address)).toBe(funds - Usdc.parse('1'))

    let spent = await ask('What is a channel?')
    expect(spent).toBeGreaterThan(0n)
    spent += await ask('And a voucher?')
    await expect.poll(() => figure('spent')).toBe(Usdc.format(spent))

    await page.reload()
    await heading('Ask').waitFor()
    await expect.poll(() => figure('spent')).toBe(Usdc.format(spent))
    spent += await ask('Still there?')
    await expect.poll(() => figure('left')).toBe(Usdc.format(Usdc.parse('1') - spent))

    await button(/close and refund/i).click()
    await heading('Closed').waitFor()
    const refund = Usdc.parse('1') - spent
    expect([await figure('refund'), await figure('kept')]).toEqual([Usdc.format(refund), Usdc.format(spent)])
    expect(await kit.usdcOf(wallet.address)).toBe(funds - spent)
    expect(await kit.usdcOf(kit.chain.deployment.contract)).toBe(0n)
    // Nobody was asked again, and no gas was needed.
    expect(wallet.prompts).toEqual(['eth_requestAccounts', 'eth_signTypedData_v4'])
    expect(await kit.chain.publicClient.getTransactionCount(wallet)).toBe(0)
  })

  test('where a provider opens nothing for others, the wallet sends two transactions; JSON is answered, too', async () => {
    const account = privateKeyToAccount(generatePrivateKey())
    const { chain } = kit
    await visitor.leave()
    visitor = await kit.browse(account)
    await chain.fund(account.address, funds)
    await chain.testClient.setBalance({ address: account.address, value: 10n ** 18n })
    await visitor.goto(`/try?provider=${toolsId}`)
    await button(/connect test wallet/i).click()
    await expect.poll(() => shown('way')).toMatch(/two transactions/)
    await visitor.page.getByLabel('Deposit: at most per channel').fill('0.5')
    await button(/approve and open/i).click()
    await heading('Ask').waitFor()
    expect(visitor.wallet.prompts).toEqual([
      'eth_requestAccounts',
      'eth_sendTransaction',
      'eth_sendTransaction',
    ])
    expect(await figure('locked')).toBe('0.5')

    await visitor.page.getByLabel('A request as JSON').check()
    const task = {
      model: 'text-statistics',
      messages: [{ role: 'user', content: '{"text":"one two three"}' }],
    }
    await visitor.page.getByLabel('Body, as JSON').fill(JSON.stringify(task))
    const { text, cost } = await send()
    expect([JSON.parse(text).words, cost]).toEqual([3, Usdc.parse('0.001')])

    // Another provider's page has the channel in its list, too, and can close it.
    await visitor.goto(`/try?provider=${chatId}`)
    await button(/close and refund the channel/i).click()
    await heading('Closed').waitFor()
    expect(await kit.usdcOf(account.address)).toBe(funds - cost)
  })

  test('nothing is signed above the limits, and what to do is said', async () => {
    await visitor.goto(`/try?provider=${chatId}`)
    await visitor.page.getByLabel('At most per request').fill('0')
    await button(/connect test wallet/i).click()
    await visitor.page.getByText('It must be more than nothing.').waitFor()
    // One thing at a time: what is clicked while the page is at work is not done.
    await expect.poll(() => visitor.page.locator('[aria-busy="true"]').count()).toBe(0)
    await visitor.page.getByLabel('At most per request').fill('0.000001')
    await button(/connect test wallet/i).click()
    await button(/open with one signature/i).click()
    await heading('Ask').waitFor()
    await visitor.page.getByLabel('Your message').fill('What is a channel?')
    await button('Send').click()
    await expect
      .poll(() => visitor.page.locator('.notice.problem').textContent())
      .toMatch(/Raise “At most per request”/)
    await expect.poll(() => figure('spent')).toBe('0')
  })

  test('who declines is told that nothing was signed, and can open later', async () => {
    const { page, wallet } = visitor
    await visitor.goto(`/try?provider=${chatId}`)
    await button(/connect test wallet/i).click()
    await button(/open with one signature/i).waitFor()
    wallet.declines = true
    await button(/open with one signature/i).click()
    await expect
      .poll(() => page.locator('.notice.problem').textContent())
      .toBe('You declined in the wallet. Nothing was signed.')
    expect([await kit.usdcOf(wallet.address), await opened()]).toEqual([funds, []])
    wallet.declines = false
    await button(/open with one signature/i).click()
    await heading('Ask').waitFor()
    expect(await opened()).toHaveLength(1)
  })

  test('a wallet on another chain is asked to switch; who has no such provider is told so', async () => {
    visitor.wallet.chainId = 1
    await visitor.goto(`/try?provider=${chatId}`)
    await button(/connect test wallet/i).click()
    await button(/open with one signature/i).waitFor()
    expect(visitor.wallet.prompts).toEqual(['eth_requestAccounts', 'wallet_switchEthereumChain'])
    await visitor.goto('/try?provider=nobody')
    await heading('There is no such provider').waitFor()
  })
})
