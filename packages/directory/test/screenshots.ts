/** Takes a picture of every page at three widths, light and dark: `node test/screenshots.ts <folder> [part of a path]`. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startChromium } from '../../consumer/test/chromium.ts'
import { createPages } from '../src/web/createPages.ts'
import { aMarket } from './aMarket.ts'
import { aMarketsParts, everyPage } from './aMarketsParts.ts'
import { servePages } from './servePages.ts'

const [folder = 'screenshots', part = ''] = process.argv.slice(2)
const logo = fileURLToPath(new URL('../src/web/assets/favicon.svg', import.meta.url))
const market = await aMarket()
const site = await servePages(createPages(market, aMarketsParts(market)))
const profile = await mkdtemp(join(tmpdir(), 'drain-pages-'))
const browser = await startChromium(profile)
try {
  await mkdir(resolve(folder), { recursive: true })
  const page = await browser.newPage()
  // Nothing is asked of another machine.
  await page.route(/\.example\//, (route) => route.fulfill({ path: logo }))
  for (const { path, cookie } of everyPage.filter(({ path }) => path.includes(part))) {
    await page.setExtraHTTPHeaders(cookie ? { cookie } : {})
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      for (const width of [360, 768, 1280]) {
        await page.setViewportSize({ width, height: 900 })
        await page.goto(site.url + path)
        const name = path.replace(/[^a-z0-9]+/gi, '_').replace(/^_$/, '_home')
        await page.screenshot({
          path: resolve(folder, `${name}-${width}-${colorScheme}.png`),
          fullPage: true,
        })
      }
    }
  }
} finally {
  await browser.close()
  await site.close()
  await market.close()
  await rm(profile, { recursive: true, force: true, maxRetries: 5 })
}
