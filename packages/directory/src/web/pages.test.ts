/** What each page answers: status, policy, landmarks, its JSON twin, and that it leads nowhere that isn't there. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { aMarket, type Market, noon } from '../../test/aMarket.ts'
import { aMarketsParts, everyPage } from '../../test/aMarketsParts.ts'
import { createPages } from './createPages.ts'

let market: Market
let pages: ReturnType<typeof createPages>
beforeAll(async () => {
  market = await aMarket()
  pages = createPages(market, aMarketsParts(market))
})
afterAll(() => market?.close())

const get = async (path: string, headers: Record<string, string> = {}) => pages.request(path, { headers })
const read = async (path: string) => (await get(path)).text()

describe.each(everyPage)('$path', ({ path, cookie, status = 200 }) => {
  test('is a page that says what it is, with a policy that lets nothing foreign in', async () => {
    const response = await get(path, cookie ? { cookie } : {})
    expect(response.status).toBe(status)
    const policy = response.headers.get('content-security-policy') ?? ''
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("script-src 'self'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toContain('unsafe')
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
    // `no-referrer` would make browsers send forms with the origin `null`, which the desk refuses.
    expect(response.headers.get('referrer-policy')).toBe('same-origin')
    const text = await response.text()
    expect(text).toMatch(/^<!doctype html>\n<html lang="en">/)
    expect(text.match(/<h1[ >]/g)).toHaveLength(1)
    expect(text.match(/<main[ >]/g)).toHaveLength(1)
    expect(text).toContain('href="#content"')
    expect(text).not.toMatch(/undefined|\[object |NaN|\bnull\b(?!")/)
    expect(text).not.toMatch(/<script(?![^>]* src=)/)
    expect(text).not.toMatch(/ style=| on[a-z]+=/)
  })
})

test('links between the pages lead somewhere', async () => {
  const found = new Set<string>()
  for (const { path, cookie } of everyPage) {
    const text = await (await get(path, cookie ? { cookie } : {})).text()
    for (const [, address = ''] of text.matchAll(/ (?:href|action)="(\/[^"]*)"/g)) {
      found.add(address.replaceAll('&amp;', '&').split('#')[0] ?? '')
    }
  }
  expect(found.size).toBeGreaterThan(30)
  const posts = new Set(['/desk/decisions', '/desk/session', '/desk/session/end'])
  for (const address of found) {
    if (address.startsWith('/api/') || posts.has(address)) continue
    expect([address, (await get(address)).status]).toEqual([address, 200])
  }
})

test('a page is sent once, and what belongs to one person is kept nowhere', async () => {
  const first = await get('/')
  const tag = first.headers.get('etag') ?? ''
  expect(first.headers.get('cache-control')).toBe('public, no-cache')
  const again = await get('/', { 'if-none-match': tag })
  expect(again.status).toBe(304)
  expect(await again.text()).toBe('')
  for (const path of ['/desk', '/join/WELCOME']) {
    expect((await get(path)).headers.get('cache-control')).toBe('no-store')
  }
})

test('the style is kept for good under its version, and asked for anew without', async () => {
  const [address = ''] = (await read('/')).match(/\/assets\/style\.css\?v=[0-9a-f]+/) ?? []
  const response = await get(address, { 'accept-encoding': 'gzip, br' })
  expect(response.headers.get('cache-control')).toContain('immutable')
  expect(response.headers.get('content-encoding')).toBe('gzip')
  expect(response.headers.get('content-type')).toBe('text/css; charset=utf-8')
  expect((await get('/assets/style.css')).headers.get('cache-control')).toBe('public, no-cache')
  for (const path of [
    '/assets/..%2fstyle.css',
    '/assets/nothing.js',
    '/assets/%2e%2e/Page.ts',
    '/assets/__proto__',
  ]) {
    expect((await get(path)).status).toBe(404)
  }
})

test('filters stand in the address, and nonsense in it is named and left out', async () => {
  const images = await read('/?category=image')
  expect(images).toContain('Pixelmine')
  expect(images).not.toContain('Northlight')
  expect(images).toContain('<option value="image" selected>')
  expect(images).toContain(
    '<link rel="alternate" type="application/json" href="/api/mcp/providers?category=image">',
  )
  expect(await read('/')).not.toContain('Tidewater')
  expect(await read('/?online=false')).toContain('Tidewater')
  expect(await read('/?minScore=0.9')).not.toContain('Kiwi')
  const nonsense = await read('/?minScore=best&category=spoons&cursor=xyz')
  expect(nonsense).toContain('category, minScore, cursor')
  expect(nonsense).toContain('Northlight')
  expect((await get(`/?search=${'x'.repeat(5_000)}`)).status).toBe(200)
})

test('more than a page of providers goes on where it ended', async () => {
  const [shop] = (await import('../../test/aMarket.ts')).shops()
  if (!shop) throw new Error('no shop')
  const many = Array.from({ length: 45 }, (_, index) => ({
    ...shop,
    id: `shop-${String(index).padStart(2, '0')}`,
    apiUrl: `https://shop-${index}.example`,
  }))
  const market = await aMarket(many)
  const pages = createPages(market)
  const seen: string[] = []
  let path: string | undefined = '/?search=north&protocol=drain'
  for (let page = 0; path && page < 5; page++) {
    const text: string = await (await pages.request(path)).text()
    seen.push(...[...text.matchAll(/data-provider="([^"]+)"/g)].map(([, id]) => id ?? ''))
    path = /rel="next" href="([^"]+)"/.exec(text)?.[1]?.replaceAll('&amp;', '&')
    if (path) expect(path).toContain('search=north')
  }
  expect(seen).toEqual(many.map(({ id }) => id))
  await market.close()
})

test('the providers of a model stand side by side, the cheapest that answers on top', async () => {
  const text = await read('/models/llama-3.3-70b')
  expect(text.indexOf('Kiwi Cloud')).toBeLessThan(text.indexOf('Northlight'))
  expect(text).toContain('0.00055')
  expect((await get('/models/nobody-has-it')).status).toBe(404)
})

test('what an operator refused is not shown to the world, and its owner finds the reason', async () => {
  const [shop] = (await import('../../test/aMarket.ts')).shops()
  if (!shop) throw new Error('no shop')
  for (const state of ['rejected', 'suspended', 'withdrawn'] as const) {
    const market = await aMarket([{ ...shop, state, review: { ...shop.review, note: 'Not this.' } }])
    const pages = createPages(market)
    const response = await pages.request('/providers/northlight')
    expect(response.headers.get('x-robots-tag')).toBe('noindex')
    const text = await response.text()
    expect(text).not.toContain(shop.profile.description)
    expect(text).not.toContain(shop.profile.website)
    expect(await (await pages.request('/providers/northlight/review')).text()).toContain('Not this.')
    await market.close()
  }
})

test('one that waits says what it lacks, and no search engine lists it', async () => {
  const response = await get('/providers/newcomer')
  expect(response.headers.get('x-robots-tag')).toBe('noindex')
  const text = await response.text()
  expect(text).toContain('60 % complete')
  expect(text).toContain('a description and a logo')
  expect(text).toContain('Agents don’t see this listing')
  expect(await read('/providers/newcomer/review')).toContain('Please list at least one model.')
})

test('without its parts a directory still has pages', async () => {
  const bare = createPages(market)
  for (const { path } of everyPage) {
    const { status } = await bare.request(path)
    expect([path, [200, 404].includes(status)]).toEqual([path, true])
  }
  expect((await bare.request('/desk')).status).toBe(404)
})

test('what fails here is written to the log, and not to the page', async () => {
  const failing = createPages(market, {
    data: { history: () => Promise.reject(new Error('SELECT secret FROM secrets')) },
  })
  const response = await failing.request('/providers/northlight')
  expect(response.status).toBe(500)
  expect(response.headers.get('cache-control')).toBe('no-store')
  expect(await response.text()).not.toContain('secret')
})

test('an invitation is used by a plain form, and a refusal is said on its page', async () => {
  const send = (address: string) =>
    pages.request('/join/WELCOME', { method: 'POST', body: new URLSearchParams({ address }) })
  const refused = await send('me')
  expect(refused.status).toBe(400)
  expect(await refused.text()).toContain('That is no address.')
  expect(await (await send(`0x${'ab'.repeat(20)}`)).text()).toContain('are on their way')
  expect((await get('/join/NOTHING')).status).toBe(404)
})

test('agents find their texts', async () => {
  expect((await get('/llms.txt')).headers.get('content-type')).toBe('text/plain; charset=utf-8')
  expect(await read('/skill.md')).toContain('DRAIN_DIRECTORY_URL')
  expect(await read('/robots.txt')).toContain('Disallow: /desk')
  expect((await get('/favicon.svg')).headers.get('content-type')).toBe('image/svg+xml')
  expect(noon).toBe(market.now())
})
