/** Every page in a browser: what axe finds, whether it fits, and the keyboard. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasChromium, startChromium } from '../../../consumer/test/chromium.ts'
import { aMarket, type Market } from '../../test/aMarket.ts'
import { aMarketsParts, everyPage } from '../../test/aMarketsParts.ts'
import { seriousIn } from '../../test/seriousIn.ts'
import { servePages } from '../../test/servePages.ts'
import { createPages } from './createPages.ts'

describe.skipIf(!hasChromium)('in a browser', () => {
  let folder: string
  let browser: BrowserContext
  let page: Page
  let market: Market
  let site: Awaited<ReturnType<typeof servePages>>

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'drain-accessible-'))
    market = await aMarket()
    site = await servePages(createPages(market, aMarketsParts(market)))
    browser = await startChromium(folder)
    page = await browser.newPage()
    // Nothing is asked of another machine.
    await page.route(/^https:/, (route) => route.abort())
  })
  afterAll(async () => {
    await browser?.close()
    await site?.close()
    await market?.close()
    if (folder) await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  })

  test.each(everyPage)(
    '$path: axe finds nothing serious, and nothing is too wide',
    async ({ path, cookie }) => {
      await page.setExtraHTTPHeaders(cookie ? { cookie } : {})
      for (const width of [360, 768, 1280]) {
        await page.setViewportSize({ width, height: 900 })
        await page.goto(site.url + path)
        const tooWide = await page.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
        )
        expect([width, tooWide]).toEqual([width, 0])
        if (width === 768) continue
        for (const colorScheme of ['light', 'dark'] as const) {
          await page.emulateMedia({ colorScheme })
          expect({ width, colorScheme, found: await seriousIn(page) }).toEqual({
            width,
            colorScheme,
            found: [],
          })
        }
      }
    },
  )

  test('the first key leads past the navigation, and what has the focus shows it', async () => {
    await page.setExtraHTTPHeaders({})
    await page.goto(`${site.url}/`)
    await page.keyboard.press('Tab')
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Skip to the content')
    await page.keyboard.press('Enter')
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('content')
    await page.keyboard.press('Tab')
    const outline = await page.evaluate(
      () => getComputedStyle(document.activeElement as Element).outlineStyle,
    )
    expect(outline).toBe('solid')
  })

  test('without JavaScript the filters work', async () => {
    const plain = await browser.browser()?.newContext({ javaScriptEnabled: false })
    const visitor = (await plain?.newPage()) ?? page
    await visitor.goto(`${site.url}/`)
    await visitor.getByLabel('Category').selectOption('image')
    await visitor.getByRole('button', { name: 'Show' }).click()
    await visitor.waitForURL(/category=image/)
    expect(await visitor.getByRole('article').count()).toBe(1)
    await visitor.getByRole('link', { name: 'Pixelmine' }).click()
    await visitor.waitForURL(/providers\/pixelmine/)
    await plain?.close()
  })
})
