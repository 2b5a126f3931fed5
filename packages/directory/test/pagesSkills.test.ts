/** A skill is written in the builder, signed, published, and then read by everybody. */
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { hasChromium } from '../../consumer/test/chromium.ts'
import { type PagesKit, startPages, type Visitor } from './startPages.ts'

/** Several browsers and a chain, on a machine that may have other things to do. */
vi.setConfig({ testTimeout: 240_000 })

describe.skipIf(!hasChromium)('the skills builder', () => {
  let kit: PagesKit
  let author: Visitor
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
    author = await kit.browse(privateKeyToAccount(generatePrivateKey()))
    await author.goto('/skills/new')
  })
  afterEach(async () => {
    await author?.leave()
  })

  const fill = (id: string, text: string) => author.page.locator(`#${id}`).fill(text)
  const button = (name: RegExp | string) => author.page.getByRole('button', { name })
  const problems = () => author.page.locator('#skill-problems li').allTextContents()

  async function write(title: string): Promise<void> {
    await fill('title', title)
    await fill('summary', 'Counts the words of an answer.')
    await fill('inputs-0-name', 'question')
    await fill('inputs-0-description', 'What to ask.')
    await fill('inputs-0-example', 'What is a channel?')
    await fill('steps-0-title', 'Count')
    await fill('steps-0-id', 'count')
    await fill('steps-0-provider', toolsId)
    await fill('steps-0-request-messages', '{"text": "{{steps.ask.output}}"}')
    await fill('steps-0-output-description', 'Counts, as JSON.')
    await button('Add a step').click()
    await fill('steps-1-title', 'Ask')
    await fill('steps-1-id', 'ask')
    await fill('steps-1-provider', chatId)
    await fill('steps-1-request-messages', '{{inputs.question}}')
    await fill('steps-1-request-maxTokens', '100')
    await fill('steps-1-output-description', 'Text.')
    await fill('output-description', 'How many words the answer has.')
    await author.page.locator('#output-from').selectOption('steps.count.output')
  }

  test('what is wrong is said at once; steps are moved by keyboard; it is priced, signed, published and shown', async () => {
    const { page, wallet } = author
    await write('Words of an answer')
    // The step that counts comes first, and needs what the other says.
    await expect.poll(problems).toEqual([expect.stringMatching(/^Step 1, .*comes later/)])
    await page.getByRole('button', { name: 'Move up: step 2' }).focus()
    await page.keyboard.press('Enter')
    await page.getByText('Moved to place 1 of 2.').waitFor()
    await expect.poll(() => page.evaluate(() => document.activeElement?.textContent)).toBe('Step 1')
    await expect.poll(problems).toEqual([])
    await expect.poll(() => page.locator('#skill-cost').textContent()).toMatch(/About 0\.\d+ USDC each time/)
    await expect
      .poll(() => page.locator('#steps-1-model option').allTextContents())
      .toContain('text-statistics')
    await page.locator('#steps-1-model').selectOption('text-statistics')

    // A reload loses nothing.
    await page.reload()
    await expect.poll(() => page.locator('#steps-1-id').inputValue()).toBe('count')
    await expect.poll(() => page.locator('#steps-1-model').inputValue()).toBe('text-statistics')

    await button('Sign and save').click()
    await page.getByText('Connect a wallet first.').waitFor()
    await button('Connect Test Wallet').click()
    await page.getByText(`Connected as ${wallet.address}`).waitFor()
    await button('Sign and save').click()
    await button('Publish').click()
    await page.getByRole('heading', { name: 'Published' }).waitFor()
    expect(wallet.prompts).toEqual(['eth_requestAccounts', 'eth_signTypedData_v4', 'eth_signTypedData_v4'])
    await page.getByRole('link', { name: 'See it as others do' }).click()
    await page.getByRole('heading', { name: 'Words of an answer', level: 1 }).waitFor()
    const text = await page.locator('main').textContent()
    for (const part of ['drain_open_channel', 'Chat', 'Tools', 'Counts the words of an answer.'])
      expect(text).toContain(part)

    await author.goto('/skills?search=words')
    await page.getByRole('link', { name: 'Words of an answer' }).waitFor()
  })

  test('its author changes it, and nobody else', async () => {
    const { page } = author
    await write('Changed later')
    await button('Move up: step 2').click()
    await expect.poll(problems).toEqual([])
    await button('Connect Test Wallet').click()
    await page.getByText('Connected as').waitFor()
    await button('Sign and save').click()
    await button('Publish').click()
    await page.getByRole('heading', { name: 'Published' }).waitFor()

    await author.goto('/skills/new?edit=changed-later')
    await expect.poll(() => page.locator('#steps-0-id').inputValue()).toBe('ask')
    await fill('summary', 'Another summary.')
    await button('Connect Test Wallet').click()
    await page.getByText('Connected as').waitFor()
    await button('Sign and save').click()
    await page.getByRole('heading', { name: 'Saved and published' }).waitFor()
    await author.goto('/skills/changed-later')
    await page.getByText('Another summary.').waitFor()

    const stranger = await kit.browse()
    await stranger.goto('/skills/new?edit=changed-later')
    await expect.poll(() => stranger.page.locator('#summary').inputValue()).toBe('Another summary.')
    await stranger.page.getByRole('button', { name: 'Connect Test Wallet' }).click()
    await stranger.page.getByText('Connected as').waitFor()
    await stranger.page.getByRole('button', { name: 'Sign and save' }).click()
    await stranger.page.getByRole('alert').filter({ hasText: 'The signature is not that of' }).waitFor()
    await stranger.leave()
  })

  test('what can’t be saved yet isn’t sent', async () => {
    const { page, wallet } = author
    await fill('title', 'Half')
    await expect.poll(async () => (await problems()).length).toBeGreaterThan(3)
    await button('Connect Test Wallet').click()
    await page.getByText('Connected as').waitFor()
    await button('Sign and save').click()
    await page.getByRole('alert').filter({ hasText: 'can’t be saved yet' }).waitFor()
    await page.getByRole('link', { name: /^Step 1, title/ }).click()
    await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe('steps-0-title')
    expect(wallet.prompts).toEqual(['eth_requestAccounts'])
  })
})
