/** An owner who changes a listing and withdraws it in a real browser, and those who try it with what isn't theirs. */
import { blake2b } from '@noble/hashes/blake2.js'
import { base58 } from '@scure/base'
import { getPublicKey, secretFromSeed, sign } from '@scure/sr25519'
import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { hasChromium } from '../../consumer/test/chromium.ts'
import type { ProviderRecord } from '../src/Provider.ts'
import { seriousIn } from './seriousIn.ts'
import { type MppService, startMppService } from './startMppService.ts'
import { operatorToken, type PagesKit, profile, startPages, type Visitor } from './startPages.ts'

/** Several browsers and a chain, on a machine that may have other things to do. */
vi.setConfig({ testTimeout: 240_000 })

const evil = `"'><img src=x onerror="window.evil=1"><script>window.evil=1</script>`
/** As a form must not lose or mend it. */
const odd = 'Café ❤️ 👩‍💻 می‌خواهم <b>&amp; Co</b>'

describe.skipIf(!hasChromium)('the page where a listing changes', () => {
  let kit: PagesKit
  let service: MppService
  let visitors: Visitor[] = []
  let id = ''

  beforeAll(async () => {
    kit = await startPages()
    service = await startMppService()
    id = await kit.list(kit.tools, {
      ...{
        name: odd,
        description: `${odd}\n\n${evil}`,
        category: 'data',
        moreCategories: ['code', 'search'],
      },
      ...{ streaming: false, minDuration: 60, maxDuration: 86_400 },
    })
  })
  afterAll(async () => {
    await service?.close()
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
  async function visitAsOwner(): Promise<Visitor> {
    const visitor = await visit(kit.tools.account)
    await visitor.goto(`/providers/${id}/change`)
    return visitor
  }
  async function recordOf(id: string): Promise<ProviderRecord> {
    const record = await kit.directory.rooms.providers.get(id)
    if (!record) throw new Error(`there is no ${id}`)
    return record
  }
  const connect = ({ page }: Visitor) => page.getByRole('button', { name: 'Connect Test Wallet' }).click()
  const send = (page: Page) => page.getByRole('button', { name: /^(?:Sign and send|Send)$/ }).click()
  const changed = (page: Page) => page.getByRole('heading', { name: 'Changed' }).waitFor()
  const signatures = ({ wallet }: Visitor) => wallet.prompts.filter((one) => one === 'eth_signTypedData_v4')

  test('is found from the listing’s own page, and sends back what stands there, sign by sign', async () => {
    const before = await recordOf(id)
    const owner = await visit(kit.tools.account)
    const { page } = owner
    await owner.goto(`/providers/${id}`)
    await page.getByRole('link', { name: 'Change this listing' }).click()
    await page.waitForURL(`**/providers/${id}/change`)
    await connect(owner)
    await page.getByText(`Connected as ${kit.tools.account.address}`).waitFor()
    await send(page)
    await changed(page)
    const { profile, state, signedAt, apiUrl, tier } = await recordOf(id)
    expect({ profile, state, apiUrl, tier }).toEqual({
      profile: before.profile,
      state: 'approved',
      apiUrl: kit.tools.url,
      tier: 'community',
    })
    expect(signedAt).toBeGreaterThan(before.signedAt)
    expect(owner.wallet.prompts).toEqual(['eth_requestAccounts', 'eth_signTypedData_v4'])
    await page.getByText('It is listed.').waitFor()
  })

  test('shows what is wrong at its field and in the test, and nothing of it is kept', async () => {
    const before = await recordOf(id)
    const owner = await visitAsOwner()
    const { page } = owner
    await send(page)
    await page.getByRole('alert').filter({ hasText: 'Connect a wallet first.' }).waitFor()
    await connect(owner)
    await page.getByText('Connected as').waitFor()
    await page.getByText('A Bittensor miner').click()
    for (const field of [
      'website',
      'logoUrl',
      'docsUrl',
      'contactEmail',
      'apiUrl',
      'hotkey',
      'hotkeySignature',
    ])
      await page.locator(`#change [name="${field}"]`).fill(evil)
    await page.locator('[name="minDuration"]').fill('0')
    await send(page)
    for (const field of ['website', 'logoUrl', 'docsUrl', 'contactEmail', 'apiUrl', 'minDuration']) {
      const input = page.locator(`#change [name="${field}"]`)
      await expect.poll(() => input.getAttribute('aria-invalid')).toBe('true')
      const described = (await input.getAttribute('aria-describedby')) ?? ''
      expect(described.split(' ')).toContain(`${field}-problem`)
      expect(await page.locator(`#${field}-problem`).textContent()).not.toBe('')
    }
    expect(await seriousIn(page)).toEqual([])

    await page.reload()
    await connect(owner)
    await page.getByText('Connected as').waitFor()
    await page.getByLabel('API URL').fill(`${kit.tools.url}/nothing-here`)
    await page.getByRole('button', { name: 'Test the connection' }).click()
    await expect.poll(() => page.locator('#outcome').textContent()).toMatch(/Mend what failed/)
    await send(page)
    await page.getByRole('alert').filter({ hasText: 'The connection test does not pass' }).waitFor()
    expect(await page.locator('#checks li.failed').count()).toBeGreaterThan(0)

    // A miner's proof that is missing is said at its field, which is folded away until then.
    await page.reload()
    await connect(owner)
    await page.getByText('Connected as').waitFor()
    await page.getByText('A Bittensor miner').click()
    await page.getByLabel('Hotkey, as SS58 address').fill(miner.hotkey)
    await page.getByText('A Bittensor miner').click()
    await send(page)
    await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe('hotkeySignature')
    await page.locator('#hotkeySignature-problem').filter({ hasText: 'hotkey' }).waitFor()
    expect(await page.evaluate(() => 'evil' in window)).toBe(false)
    expect(await recordOf(id)).toEqual(before)
  })

  test('takes a miner’s proof, which makes the tier, and goes without it again', async () => {
    const owner = await visitAsOwner()
    const { page } = owner
    await page.getByText('A Bittensor miner').click()
    await page.getByLabel('Hotkey, as SS58 address').fill(miner.hotkey)
    await page.getByLabel('Its signature, hexadecimal').fill(miner.sign(kit.tools.url))
    await connect(owner)
    await page.getByText('Connected as').waitFor()
    await send(page)
    await changed(page)
    expect(await recordOf(id)).toMatchObject({ tier: 'bittensor', profile: { hotkey: miner.hotkey } })
    await page.getByRole('link', { name: 'Change it again' }).click()
    await connect(owner)
    await page.getByText('Connected as').waitFor()
    await page.getByLabel('Hotkey, as SS58 address').fill('')
    await send(page)
    await changed(page)
    expect(await recordOf(id)).toMatchObject({ tier: 'community', profile: { hotkey: null } })
  })

  test('another wallet’s owner is told so before anything is signed, and can neither send nor withdraw', async () => {
    const before = await recordOf(id)
    const stranger = await visit()
    const { page, wallet } = stranger
    const asked: string[] = []
    page.on('dialog', (dialog) => {
      asked.push(dialog.message())
      void dialog.accept()
    })
    await stranger.goto(`/providers/${id}/change`)
    await connect(stranger)
    const told = page
      .getByRole('alert')
      .filter({ hasText: `changed by ${kit.tools.account.address} only` })
      .filter({ hasText: wallet.address })
    await told.waitFor()
    await send(page)
    await told.waitFor()
    await page.getByRole('button', { name: 'Withdraw', exact: true }).click()
    await expect.poll(() => told.count()).toBe(2)
    expect([wallet.prompts, asked]).toEqual([['eth_requestAccounts'], []])
    expect(await recordOf(id)).toEqual(before)
  })

  test('who says no in the wallet has changed nothing', async () => {
    const before = await recordOf(id)
    const owner = await visitAsOwner()
    await connect(owner)
    await owner.page.getByText('Connected as').waitFor()
    owner.wallet.declines = true
    await send(owner.page)
    await owner.page.getByRole('alert').filter({ hasText: 'You declined in the wallet' }).waitFor()
    expect(await recordOf(id)).toEqual(before)
  })

  test('another name goes back to the queue, and what an operator refused is mended here', async () => {
    const owner = await visitAsOwner()
    const { page } = owner
    await connect(owner)
    await page.getByText('Connected as').waitFor()
    // What means harm is a name like any other.
    await page.getByLabel('Name', { exact: true }).fill(evil)
    await page.getByLabel('Description').fill(evil)
    await page.getByLabel('video').check()
    await page.getByLabel('Answers are streamed').check()
    await send(page)
    await changed(page)
    await page.getByText('An operator looks at it now.').waitFor()
    // What was true before stands there no more.
    expect(await page.getByText('Approved').count()).toBe(0)
    const renamed = await recordOf(id)
    expect(renamed).toMatchObject({ state: 'pending', profile: { name: evil, description: evil } })
    expect(renamed.profile).toMatchObject({ streaming: true, moreCategories: ['video', 'code', 'search'] })
    await page.getByRole('link', { name: 'Follow its review' }).click()
    await page.getByText('An operator has it in the queue').waitFor()

    const decision = { action: 'reject', id, note: 'What a name.' }
    const decided = await kit.post('/api/operators/decisions', decision, {
      Authorization: `Bearer ${operatorToken}`,
    })
    expect(decided.status).toBe(200)
    await page.reload()
    await page.getByRole('link', { name: 'Change this listing' }).click()
    await page.getByText('What a name.').waitFor()
    expect(await page.getByLabel('Name', { exact: true }).inputValue()).toBe(evil)
    expect(await page.getByLabel('Description').inputValue()).toBe(evil)
    await page.getByLabel('Name', { exact: true }).fill('Tools')
    await connect(owner)
    await page.getByText('Connected as').waitFor()
    await send(page)
    await changed(page)
    expect(await recordOf(id)).toMatchObject({ state: 'pending', profile: { name: 'Tools' } })
    expect(await page.evaluate(() => 'evil' in window)).toBe(false)
  })

  test('a service without a wallet changes and goes by its token', async () => {
    const { token, id } = await registerBare(`${service.url}/one`)
    const visitor = await visit()
    const { page, wallet } = visitor
    await visitor.goto(`/providers/${id}/change`)
    await page.getByLabel('Description').fill('Changed by its token.')
    await send(page)
    await page.getByRole('alert').filter({ hasText: 'Give the token' }).waitFor()
    for (const wrong of ['another’s', evil]) {
      await page.getByLabel('Token to send').fill(wrong)
      await send(page)
      await page.getByRole('alert').filter({ hasText: 'Give the token' }).waitFor()
    }
    await page.getByLabel('Token to send').fill(token.slice(1))
    await send(page)
    await page
      .getByRole('alert')
      .filter({ hasText: 'the token that its registration answered with' })
      .waitFor()
    await page.getByLabel('Token to send').fill(token)
    await page.getByLabel('What is paid').fill(evil)
    await send(page)
    await page.locator('#mppEndpoint-problem').filter({ hasText: 'no path' }).waitFor()
    expect((await recordOf(id)).profile.description).not.toBe('Changed by its token.')
    await page.getByLabel('What is paid').fill('/search')
    await send(page)
    await changed(page)
    expect((await recordOf(id)).profile).toMatchObject({
      ...{ description: 'Changed by its token.', mppType: 'rest', mppEndpoint: '/search' },
    })
    await page.getByRole('link', { name: 'Change it again' }).click()
    page.on('dialog', (dialog) => void dialog.accept())
    await page.getByLabel('Token to send').fill(token)
    await page.getByRole('button', { name: 'Withdraw', exact: true }).click()
    await page.getByRole('heading', { name: 'Withdrawn' }).waitFor()
    expect([(await recordOf(id)).state, wallet.prompts]).toEqual(['withdrawn', []])
  })

  async function registerBare(apiUrl: string): Promise<{ token: string; id: string }> {
    const listing = { name: 'Search', apiUrl, protocol: 'mpp', category: 'search', ...profile }
    const answered = await kit.post('/api/directory/providers', {
      ...{ ...listing, mppEndpoint: '/search', mppType: 'rest' },
    })
    const { token, id, ...rest } = await answered.json()
    expect([answered.status, rest]).toEqual([201, expect.anything()])
    return { token, id }
  }

  test('without JavaScript it says what is listed, and how it is changed by the API', async () => {
    const { browser } = await visit()
    const plain = await browser.browser()?.newContext({ javaScriptEnabled: false })
    const page = await plain?.newPage()
    if (!page) throw new Error('no page')
    await page.goto(`${kit.directory.settings.origin}/providers/${id}/change`)
    expect(await page.getByLabel('API URL').inputValue()).toBe(kit.tools.url)
    expect(await page.locator('noscript').textContent()).toContain('Signing takes JavaScript and a wallet')
    expect(await page.locator('noscript .notice').isVisible()).toBe(true)
    expect(await page.getByRole('button', { name: 'Sign and send' }).isVisible()).toBe(false)
    expect(await page.getByRole('button', { name: 'Withdraw' }).count()).toBe(0)
    expect(await page.getByLabel('The call that changes it').textContent()).toContain(
      `/api/directory/providers/${id}'`,
    )
    await plain?.close()
  })

  test('fits, and axe finds nothing serious, with its scripts at work', async () => {
    const { page } = await visitAsOwner()
    await page.getByRole('button', { name: 'Withdraw', exact: true }).waitFor()
    for (const width of [360, 768, 1280]) {
      await page.setViewportSize({ width, height: 900 })
      expect(
        await page.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
        ),
      ).toBe(0)
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme })
        expect([width, colorScheme, await seriousIn(page)]).toEqual([width, colorScheme, []])
      }
    }
  })

  test('withdrawn is what its owner confirms, for good', async () => {
    const owner = await visitAsOwner()
    const { page } = owner
    await connect(owner)
    await page.getByText('Connected as').waitFor()
    const asked: string[] = []
    page.on('dialog', (dialog) => {
      asked.push(dialog.message())
      void (asked.length === 1 ? dialog.dismiss() : dialog.accept())
    })
    await page.getByRole('button', { name: 'Withdraw', exact: true }).click()
    await expect.poll(() => asked).toEqual([expect.stringContaining('for good?')])
    await expect
      .poll(() => page.getByRole('button', { name: 'Withdraw', exact: true }).isEnabled())
      .toBe(true)
    expect([signatures(owner), (await recordOf(id)).state]).toEqual([[], 'pending'])
    await page.getByRole('button', { name: 'Withdraw', exact: true }).click()
    await page.getByRole('heading', { name: 'Withdrawn' }).waitFor()
    expect([signatures(owner).length, (await recordOf(id)).state]).toEqual([1, 'withdrawn'])
    expect(await page.locator('form').count()).toBe(0)
    await page.reload()
    await page.getByText('There is nothing to change.').waitFor()
  })
})

const miner = aMiner()
function aMiner() {
  const secret = secretFromSeed(new Uint8Array(32).fill(7))
  const body = new Uint8Array([42, ...getPublicKey(secret)])
  const utf8 = (text: string) => new TextEncoder().encode(text)
  const [first = 0, second = 0] = blake2b(new Uint8Array([...utf8('SS58PRE'), ...body]))
  const hotkey = base58.encode(new Uint8Array([...body, first, second]))
  return {
    hotkey,
    sign: (apiUrl: string) =>
      Buffer.from(sign(secret, utf8(`handshake58:${hotkey}:${apiUrl}`))).toString('hex'),
  }
}
