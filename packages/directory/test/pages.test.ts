/** Finding a provider, becoming one, and deciding about one, in a real browser against real providers. */
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { hasChromium } from '../../consumer/test/chromium.ts'
import { operatorToken, type PagesKit, profile, startPages, type Visitor } from './startPages.ts'

/** Several browsers and a chain, on a machine that may have other things to do. */
vi.setConfig({ testTimeout: 240_000 })

describe.skipIf(!hasChromium)('the pages', () => {
  let kit: PagesKit
  let visitors: Visitor[] = []
  let toolsId = ''

  beforeAll(async () => {
    kit = await startPages()
    toolsId = await kit.list(kit.tools, { name: 'Tools', category: 'data', streaming: false })
  })
  afterAll(async () => {
    await kit?.close()
  })
  afterEach(async () => {
    for (const visitor of visitors.splice(0)) await visitor.leave()
    visitors = []
  })

  async function visit(...account: Parameters<PagesKit['browse']>): Promise<Visitor> {
    const visitor = await kit.browse(...account)
    visitors.push(visitor)
    return visitor
  }

  test('a provider is found by filters that stand in the address, and its page shows how to pay it', async () => {
    const { page, goto } = await visit()
    await goto('/')
    await page.getByLabel('Category').selectOption('data')
    await page.getByRole('button', { name: 'Show' }).click()
    await page.waitForURL(/category=data/)
    await page.getByRole('link', { name: 'Tools', exact: true }).click()
    await page.getByRole('heading', { name: 'Tools', level: 1 }).waitFor()
    expect(new URL(page.url()).pathname).toBe(`/providers/${toolsId}`)
    const text = await page.locator('main').textContent()
    for (const part of ['text-statistics', '0.001', kit.tools.url, 'drain_open_channel'])
      expect(text).toContain(part)

    await goto('/?category=image')
    expect(await page.getByRole('link', { name: 'Tools', exact: true }).count()).toBe(0)
    await goto('/models')
    await page.getByRole('link', { name: 'text-statistics' }).click()
    await page.getByRole('link', { name: 'Tools', exact: true }).first().waitFor()
  })

  test('code is copied', async () => {
    const { page, browser, goto } = await visit()
    await browser.grantPermissions(['clipboard-read', 'clipboard-write'])
    await goto(`/providers/${toolsId}`)
    const block = page.locator('[data-copy]').first()
    await page.getByRole('button', { name: /^copy/i }).first().click()
    await page.getByText('Copied.').first().waitFor()
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(await block.textContent())
  })

  test('a provider registers by the form, is tested live, approved on the desk, and then seen by all', async () => {
    const owner = await visit(kit.chat.account)
    const { page } = owner
    await owner.goto('/become-a-provider')
    await page.getByLabel('API URL').fill(`${kit.chat.url}/nothing-here`)
    await page.getByRole('button', { name: 'Test the connection' }).click()
    await page.locator('#checks li.failed').first().waitFor()
    await expect.poll(() => page.locator('#outcome').textContent()).toMatch(/Mend what failed/)

    await page.getByLabel('API URL').fill(kit.chat.url)
    await page.getByRole('button', { name: 'Test the connection' }).click()
    await expect.poll(() => page.locator('#outcome').textContent()).toBe('All checks passed.')
    expect(await page.locator('#checks li.passed').count()).toBe(6)
    expect(await page.locator('#checks li.failed').count()).toBe(0)

    // Without a wallet nothing is sent, and without a name it is said at the field.
    await page.getByRole('button', { name: 'Sign and send' }).click()
    await page.getByText('Connect a wallet first.').waitFor()
    await page.getByRole('button', { name: 'Connect Test Wallet' }).click()
    await page.getByText(`Connected as ${kit.chat.account.address}`).waitFor()
    expect(await page.getByLabel('Provider address').inputValue()).toBe(kit.chat.account.address)
    await page.getByRole('button', { name: 'Sign and send' }).click()
    await expect
      .poll(() => page.getByLabel('Name', { exact: true }).getAttribute('aria-invalid'))
      .toBe('true')
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('name')

    await page.getByLabel('Name', { exact: true }).fill('Parrot <b>& Co</b>')
    for (const [name, value] of Object.entries(profile))
      await page.locator(`#register [name="${name}"]`).fill(value)
    await page.getByLabel('Answers are streamed').check()
    await page.getByRole('button', { name: 'Sign and send' }).click()
    await page.getByRole('heading', { name: 'Registered' }).waitFor()
    expect(owner.wallet.prompts.filter((prompt) => prompt === 'eth_signTypedData_v4')).toHaveLength(2)
    await page.getByRole('link', { name: 'Follow its review' }).click()
    await page.getByText('An operator has it in the queue').waitFor()
    const [, , id = ''] = new URL(page.url()).pathname.split('/')

    // Nobody else sees it yet.
    const visitor = await visit()
    await visitor.goto('/?search=parrot')
    await visitor.page.getByText('Nobody fits').waitFor()

    const operator = await visit(kit.operator)
    await operator.goto('/desk')
    await operator.page.getByRole('button', { name: 'Connect Test Wallet' }).click()
    await operator.page.getByRole('heading', { name: 'Queue' }).waitFor()
    const answers = [false, true]
    operator.page.on('dialog', (dialog) => (answers.shift() ? dialog.accept() : dialog.dismiss()))
    await operator.page.getByLabel(/^Note about Parrot/).fill('Welcome.')
    // Who doesn't confirm has decided nothing.
    await operator.page.getByRole('button', { name: /^Approve/ }).click()
    await expect.poll(() => answers).toEqual([true])
    expect(operator.page.url()).toBe(`${kit.directory.settings.origin}/desk`)
    expect((await kit.directory.rooms.providers.get(id))?.state).toBe('pending')
    await operator.page.getByRole('button', { name: /^Approve/ }).click()
    await operator.page.getByText('Done: approve.').waitFor()
    await operator.page.getByText('Nobody waits.').waitFor()

    await page.reload()
    await page.getByText('It was approved.').waitFor()
    await visitor.goto('/?search=parrot')
    await visitor.page.getByRole('link', { name: 'Parrot <b>& Co</b>' }).click()
    await visitor.page.waitForURL(`**/providers/${id}`)
  })

  test('a token opens the desk until its operator leaves; wrong ones and strangers’ wallets don’t', async () => {
    const { page, goto, wallet } = await visit(kit.operator)
    await goto('/desk')
    await page.getByLabel('Token', { exact: true }).fill('not the token')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('alert').filter({ hasText: 'not the operator’s token' }).waitFor()
    await page.getByLabel('Token', { exact: true }).fill(operatorToken)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('heading', { name: 'Queue' }).waitFor()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('Token', { exact: true }).waitFor()
    expect(wallet.prompts).toEqual([])

    const stranger = await visit()
    await stranger.goto('/desk')
    await stranger.page.getByRole('button', { name: 'Connect Test Wallet' }).click()
    await stranger.page.getByRole('alert').filter({ hasText: 'is no operator' }).waitFor()
    expect(await stranger.page.getByRole('heading', { name: 'Queue' }).count()).toBe(0)
  })

  test('an invitation is used once, by a form, and what it gives is in the wallet', async () => {
    const asOperator = { Authorization: `Bearer ${operatorToken}` }
    const wanted = { count: 1, usdc: '2.5', gas: '0.1', expiresInDays: 1 }
    const made = await kit.post('/api/invites', wanted, asOperator)
    const { codes } = await made.json()
    expect([made.status, codes]).toEqual([201, [expect.any(String)]])

    const { page, goto, wallet } = await visit()
    await goto(`/join/${codes[0]}`)
    await page.getByText('2.5 USDC').waitFor()
    await page.getByLabel('Where to send it').fill('not an address')
    await page.getByRole('button', { name: 'Send it to me' }).click()
    await page.getByText('That is no address.').waitFor()
    await page.getByLabel('Where to send it').fill(wallet.address)
    await page.getByRole('button', { name: 'Send it to me' }).click()
    await page.getByRole('status').filter({ hasText: '2.5 USDC' }).waitFor()
    await expect.poll(() => kit.usdcOf(wallet.address)).toBe(2_500_000n)
    await expect.poll(() => kit.chain.publicClient.getBalance(wallet)).toBe(10n ** 17n)

    await goto(`/join/${codes[0]}`)
    await page.getByText('This invitation can’t be used').waitFor()
  })
})
