import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasChromium, startChromium } from '../../test/chromium.ts'
import type { page as pageFunctions } from './browser.page.ts'
import { range } from './conformance/cases.ts'
import { lasting, shared, steps } from './conformance/index.ts'
import { indexedDbStore } from './indexedDb.ts'

test('where there is no IndexedDB it says so', async () => {
  const store = indexedDbStore()
  await expect(store.step(0, () => [])).rejects.toMatchObject({ code: 'store_unavailable' })
  await expect(store.seal(new Uint8Array(1))).rejects.toMatchObject({ code: 'store_unavailable' })
  await store.close()
})

describe.skipIf(!hasChromium)('in Chromium', () => {
  const profile = mkdtempSync(join(tmpdir(), 'drain-chromium-'))
  let server: ReturnType<typeof createServer>
  let origin: string
  let browser: BrowserContext
  let tab: Page

  beforeAll(async () => {
    const { outputFiles } = await build({
      entryPoints: [fileURLToPath(new URL('./browser.page.ts', import.meta.url))],
      bundle: true,
      format: 'esm',
      platform: 'browser',
      write: false,
      alias: { '@drain/core': fileURLToPath(new URL('../../../core/src/index.ts', import.meta.url)) },
    })
    const script = outputFiles[0]?.text ?? ''
    server = createServer((request, response) => {
      const isScript = request.url === '/page.js'
      response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
      response.end(isScript ? script : '<!doctype html><script type="module" src="/page.js"></script>')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    browser = await startChromium(profile)
    tab = await openTab()
  })

  afterAll(async () => {
    await browser?.close()
    server?.close()
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
  })

  async function openTab(): Promise<Page> {
    const tab = await browser.newPage()
    await tab.goto(origin)
    await ready(tab)
    return tab
  }

  async function ready(tab: Page): Promise<void> {
    await tab.waitForFunction(() => 'page' in globalThis)
  }

  type Functions = typeof pageFunctions

  /** Calls a function of the page. */
  async function call<name extends keyof Functions>(
    tab: Page,
    name: name,
    ...args: Parameters<Functions[name]> extends infer parameters ? parameters & unknown[] : never
  ): Promise<Awaited<ReturnType<Functions[name]>>> {
    return tab.evaluate(
      ([name, args]) => {
        const { page } = globalThis as unknown as { page: Record<string, (...args: unknown[]) => never> }
        return page[name]?.(...args) as never
      },
      [name, args] as [string, unknown[]],
    )
  }

  describe.each(Object.entries({ steps, lasting, shared }))('%s', (suite, cases) => {
    test.each(cases.map(({ title }, index) => ({ title, index })))('$title', async ({ index }) => {
      await call(tab, 'runCase', suite, index)
    })
  })

  test('two tabs count on one number 500 times each, and lose none', async () => {
    const tabs = [await openTab(), await openTab()]
    const counts = await Promise.all(tabs.map((tab) => call(tab, 'count', 'count', 500)))
    expect(counts.flat().sort((a, b) => a - b)).toEqual(range(1000).map((index) => index + 1))
    expect(await call(tab, 'read', 'count')).toEqual([{ key: 'count', text: '1000' }])
    for (const tab of tabs) await tab.close()
  })

  test('a page that is loaded anew finds all, and so does a browser that was restarted', async () => {
    await call(tab, 'write', 'kept', 'a', '1')
    const sealed = await call(tab, 'seal', 'kept', range(32))
    await tab.reload()
    await ready(tab)
    expect(await call(tab, 'read', 'kept')).toEqual([{ key: 'a', text: '1' }])
    await browser.close()
    browser = await startChromium(profile)
    tab = await openTab()
    expect(await call(tab, 'read', 'kept')).toEqual([{ key: 'a', text: '1' }])
    expect(await call(tab, 'unseal', 'kept', sealed)).toEqual(range(32))
  })

  test('a tab that ends while it writes leaves all that was acknowledged, and nothing half', async () => {
    const writer = await openTab()
    let last = -1
    await writer.exposeFunction('acknowledge', (count: number) => {
      last = count
    })
    const most = 20 + Math.floor(Math.random() * 200)
    const written = writer
      .evaluate(() => {
        const { page, acknowledge } = globalThis as unknown as {
          page: Functions
          acknowledge: (count: number) => void
        }
        return page.writeOn('ends', acknowledge)
      })
      .catch(() => {})
    await expect.poll(() => last).toBeGreaterThan(most)
    await writer.close()
    await written
    const entries = new Map((await call(tab, 'read', 'ends')).map(({ key, text }) => [key, text]))
    const found = Number(entries.get('last'))
    expect(found).toBeGreaterThanOrEqual(last)
    expect(entries.size).toBe(found + 2)
    for (const count of range(found + 1)) expect(entries.get(`entry ${count}`)).toBe(String(count))
  })

  test('the sealed text is not the secret, and the key cannot be read', async () => {
    const secret = range(32).map((index) => index + 100)
    const text = await call(tab, 'seal', 'sealed', secret)
    expect(text).toMatch(/^aes-gcm:0x[0-9a-f]{120}$/)
    expect(text).not.toContain(Buffer.from(secret).toString('hex'))
    expect(await call(tab, 'seal', 'sealed', secret)).not.toBe(text)
    expect(await call(tab, 'unseal', 'sealed', text)).toEqual(secret)
    expect(await call(tab, 'unseal', 'elsewhere', text)).toBe('seal')
    const changed = text.replace(/.$/, (digit) => (digit === '0' ? '1' : '0'))
    expect(await call(tab, 'unseal', 'sealed', changed)).toBe('seal')
    expect(await call(tab, 'key', 'sealed')).toEqual({
      count: 1,
      extractable: false,
      usages: ['encrypt', 'decrypt'],
      exported: 'InvalidAccessError',
    })
  })

  test('a database that is removed under its user is missed', async () => {
    expect(await call(tab, 'lose', 'lost')).toEqual(['store_unavailable', 'store_unavailable'])
  })

  test("another program's database and one of a later version are refused", async () => {
    expect(await call(tab, 'refuse')).toEqual(['store_file', 'store_file'])
  })
})
