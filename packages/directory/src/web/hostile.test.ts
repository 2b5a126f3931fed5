/** Text that means harm, in every field that a stranger can fill: on no page does it become anything but text. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { transform } from 'esbuild'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasChromium, startChromium } from '../../../consumer/test/chromium.ts'
import { aHistory, aMarket, type Market, noon, shops } from '../../test/aMarket.ts'
import { aMarketsParts, aSkillShown } from '../../test/aMarketsParts.ts'
import { servePages } from '../../test/servePages.ts'
import type { ProviderRecord } from '../Provider.ts'
import { createPages } from './createPages.ts'
import { changeCall, withdrawCall } from './pages/change.ts'
import { jsonWord, scriptString, shellWord } from './parts/code.ts'
import { markdown } from './parts/markdown.ts'
import { curlCode, mcpSteps, sdkCode } from './parts/payCode.ts'

/** Each ends what it may stand in, and begins what nobody wants. */
const texts = {
  script: '</title></textarea></style></pre><script>window.evil = 1</script><x-evil>',
  quote: `"'><img src=x onerror="window.evil=1"><x-evil data-x="`,
  event: `' onmouseover='window.evil=1' x="" onfocus="window.evil=1" autofocus tabindex=1 data-evil="`,
  address: 'javascript:window.evil=1//',
  data: 'data:text/html,<script>window.evil=1</script>',
  template: '{{constructor.constructor("window.evil=1")()}} #{window.evil=1} <%= evil %>',
  comment: '--><!--<x-evil>]]><![CDATA[<svg onload=window.evil=1>',
  direction: '\u202egnp.exe\u2066\u200b\u0000\u0007\ufeff end',
  long: 'x'.repeat(10_000),
  entity: '&lt;script&gt;&#60;x-evil&#62;&quot;',
  shell: `'; touch EVIL; echo "$(touch EVIL)" \`touch EVIL\` \\`,
  lines: 'one\r\ntwo\u2028three\n\n<x-evil>',
} as const

/** Every field of a provider, with the same text. Its id and states are made by us, and so left. */
function hostileProvider(text: string, id: string): Omit<ProviderRecord, 'revision'> {
  const [base] = shops()
  if (!base) throw new Error('no shop')
  const model = { id: text, name: text, inputPer1kTokens: text, outputPer1kTokens: text }
  return {
    ...base,
    id,
    apiUrl: `https://${id}.example/${text}`,
    profile: {
      ...base.profile,
      ...{ name: text, description: text, contactEmail: text, website: text, logoUrl: text, docsUrl: text },
      ...{ mppEndpoint: text, hotkey: text },
    },
    offer: {
      ...base.offer,
      models: [model, { ...model, id: `${text}2`, inputPer1kTokens: '1', outputPer1kTokens: '0' }],
      docs: text,
    },
    health: { ...base.health, problem: text },
    review: { note: text, testedAt: noon, checks: [{ name: text, passed: false, detail: text }] },
    scoreParts: { ...base.scoreParts, praised: text, blamed: text },
  }
}

async function hostilePages(text: string) {
  const states = ['approved', 'pending', 'rejected'] as const
  const market = await aMarket([
    ...states.map((state) => ({ ...hostileProvider(text, state), state })),
    { ...hostileProvider(text, 'mpp'), protocol: 'mpp' as const },
  ])
  const { data, operators } = aMarketsParts(market)
  const [step] = aSkillShown.steps
  if (!step) throw new Error('no step')
  const summary = {
    ...aSkillShown,
    title: text,
    summary: text,
    tags: [text],
    author: text,
    steps: 1,
    cost: text,
  }
  const pages = createPages(market, {
    data: {
      ...data,
      history: async () => ({ ...aHistory(), changes: [{ at: noon, status: 'offline', reason: text }] }),
      feedback: async () => [
        { at: noon, outcome: 'failure', protocol: 'drain', reason: text, consumer: text, paid: null },
      ],
      skills: async () => ({ skills: [summary], total: 1, next: text }),
      skill: async () => ({
        ...aSkillShown,
        ...{ title: text, summary: text, tags: [text], author: text, output: text, warnings: [text] },
        inputs: [{ name: text, type: text, description: text, required: false, example: text }],
        steps: [
          { ...step, id: text, title: text, provider: text, model: text, request: text, output: text },
          { ...step, provider: 'approved' },
        ],
        cost: { total: null, note: text },
        execution: { instructions: text, toolsNeeded: [text], protocol: 'mixed' },
      }),
    },
    operators: {
      ...operators,
      operatorOf: async () => text,
      overview: async () => ({
        ...(await operators.overview()),
        pending: [...market.snapshot.all()],
        troubled: [...market.snapshot.all()],
        feedback: [
          {
            id: text,
            providerId: text,
            at: noon,
            outcome: 'failure',
            reason: text,
            consumer: text,
            hidden: false,
          },
        ],
        actions: [{ at: noon, operator: text, action: text, subject: text, reason: text }],
      }),
    },
  })
  return { market, pages }
}

const query = (text: string) => encodeURIComponent(text)
const paths = (text: string) => [
  `/?online=false&search=${query(text)}&model=${query(text)}&category=${query(text)}&minScore=${query(text)}&cursor=${query(text)}`,
  '/?online=false',
  `/models?search=${query(text)}`,
  '/models',
  `/models/${query(text)}`,
  ...['approved', 'pending', 'rejected', 'mpp'].flatMap((id) => [
    `/providers/${id}`,
    `/providers/${id}/review`,
    `/providers/${id}/change`,
  ]),
  `/providers/${query(text)}`,
  `/skills?search=${query(text)}&cursor=${query(text)}`,
  '/skills/one',
  '/desk',
  `/join/${query(text)}`,
  `/${query(text)}`,
]

/** What a page may be made of. Anything else came from the text. */
function unexpected(page: { text: string }): string[] {
  const tags =
    'html head meta title link script body a header div span svg rect nav ul li main h1 h2 h3 h4 p strong em code pre bdi form label input select option textarea button fieldset legend section article dl dt dd ol table thead tbody tr th td br time details summary figure figcaption desc g line polyline path img footer noscript'.split(
      ' ',
    )
  const attributes =
    'lang charset name content rel type href src class id aria-label aria-labelledby aria-describedby aria-hidden aria-live aria-current tabindex role focusable viewbox width height x y x1 x2 y1 y2 d rx fill stroke stroke-width points preserveaspectratio method action for value maxlength placeholder required disabled checked selected rows min max step autocomplete scope dir datetime title alt loading decoding referrerpolicy data-provider data-owner data-protocol data-payee data-only data-copy data-confirm open colspan'.split(
      ' ',
    )
  const document = new DOMParser().parseFromString(page.text, 'text/html')
  const found: string[] = []
  for (const element of document.querySelectorAll('*')) {
    const tag = element.localName.toLowerCase()
    if (!tags.includes(tag)) found.push(`<${tag}>`)
    if (tag === 'script' && !/^\/assets\//.test(element.getAttribute('src') ?? '')) found.push('a script')
    if (tag === 'script' && element.textContent !== '') found.push('a script with text')
    for (const { name, value } of element.attributes) {
      if (!attributes.includes(name.toLowerCase())) found.push(`${tag}.${name}`)
      if (['href', 'src', 'action'].includes(name) && !/^(?:\/(?!\/)|https?:\/\/|mailto:|#)/.test(value))
        found.push(`${tag}.${name}=${value.slice(0, 60)}`)
      if (
        name === 'href' &&
        /^https?:/.test(value) &&
        tag === 'a' &&
        new URL(value).origin !== 'http://127.0.0.1:8700' &&
        !/noopener/.test(element.getAttribute('rel') ?? '')
      )
        found.push(`a link without rel: ${value.slice(0, 60)}`)
    }
  }
  // They are sent back as they are, and shown to nobody.
  for (const input of document.querySelectorAll('input[type="hidden"]')) input.remove()
  const { outerHTML } = document.documentElement
  for (const sign of '\u202e\u2066\u200b\ufeff\u0007\u2028') {
    if (outerHTML.includes(sign))
      found.push(
        `U+${sign.charCodeAt(0).toString(16)} in ${outerHTML.slice(outerHTML.indexOf(sign) - 50).slice(0, 60)}`,
      )
  }
  return [...new Set(found)]
}

describe.skipIf(!hasChromium)('in a browser', () => {
  let folder: string
  let browser: BrowserContext
  let page: Page
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'drain-hostile-'))
    browser = await startChromium(folder)
    page = await browser.newPage()
    // Nothing is asked of another machine.
    await page.route(/^https:/, (route) => route.abort())
  })
  afterAll(async () => {
    await browser?.close()
    if (folder) await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  })

  test.each(Object.entries(texts))('%s stays text', async (_, text) => {
    const { market, pages } = await hostilePages(text)
    await page.goto('about:blank')
    for (const path of paths(text)) {
      const response = await pages.request(path)
      expect([path.slice(0, 80), response.status < 500]).toEqual([path.slice(0, 80), true])
      const found = await page.evaluate(unexpected, { text: await response.text() })
      expect([path.slice(0, 80), found]).toEqual([path.slice(0, 80), []])
    }
    await market.close()
  })

  test.each(['script', 'quote', 'event', 'long'] as const)(
    '%s, opened, runs nothing and fits a phone',
    async (kind) => {
      await page.setViewportSize({ width: 360, height: 800 })
      const { market, pages } = await hostilePages(texts[kind])
      const site = await servePages(pages)
      for (const path of [
        ...['/?online=false', '/models', '/providers/approved', '/providers/pending/review'],
        ...['/providers/approved/change', '/providers/mpp/change'],
        ...['/skills', '/skills/one', '/desk'],
      ]) {
        await page.goto(site.url + path)
        const state = await page.evaluate(() => ({
          evil: 'evil' in window,
          tooWide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        }))
        expect([path, state]).toEqual([path, { evil: false, tooWide: 0 }])
      }
      await page.goto('about:blank')
      await site.close()
      await market.close()
    },
  )
})

describe('code to copy', () => {
  const record = (text: string): ProviderRecord => ({ ...hostileProvider(text, 'evil'), revision: 1 })
  const settings = { origin: 'https://market.example', chains: [] }
  let market: Market
  beforeAll(async () => {
    market = await aMarket()
  })
  afterAll(() => market?.close())

  test.each(Object.entries(texts))('%s runs nothing in a shell', async (_, text) => {
    const folder = await mkdtemp(join(tmpdir(), 'drain-shell-'))
    const harmless = 'curl() { :; }; npx() { :; }; VOUCHER=v\n'
    for (const protocol of ['drain', 'mpp'] as const) {
      const owned = { ...record(text), protocol, owner: protocol === 'mpp' ? 'token:00' : record(text).owner }
      const codes = [
        curlCode(owned),
        changeCall(owned, settings.origin),
        withdrawCall(owned, settings.origin),
      ]
      for (const code of codes) await promisify(execFile)('bash', ['-c', harmless + code], { cwd: folder })
    }
    expect(existsSync(join(folder, 'EVIL'))).toBe(false)
    await rm(folder, { recursive: true })
  })

  test('a word of a shell is one word', async () => {
    const { stdout } = await promisify(execFile)('bash', ['-c', `printf '[%s]' ${shellWord(texts.shell)}`])
    expect(stdout).toBe(`[${texts.shell}]`)
  })

  test.each(Object.entries(texts))('%s, as JSON in a shell, is what it was', async (_, text) => {
    // A shell's words have no zero byte, and JSON writes it as an escape.
    const { stdout } = await promisify(execFile)('bash', [
      '-c',
      `printf '%s' ${jsonWord({ [text]: [text] })}`,
    ])
    expect(stdout).toMatch(/^[\n\p{L}\p{M}\p{N}\p{P}\p{S}\p{Zs}]*$/u)
    expect(JSON.parse(stdout)).toEqual({ [text]: [text] })
  })

  test.each(Object.entries(texts))('%s is a string in a program', async (_, text) => {
    for (const protocol of ['drain', 'mpp'] as const) {
      const { code } = await transform(sdkCode({ ...record(text), protocol }, settings), { loader: 'ts' })
      expect(code).toContain('createDrainClient')
      expect(code).not.toMatch(/^\s*window\.evil/m)
    }
    expect(JSON.parse(scriptString(text))).not.toMatch(/[\u202a-\u202e\u2066-\u2069]/)
    // One call on each line, whatever the names are.
    expect(mcpSteps(record(text)).split('\n')).toHaveLength(5)
  })
})

test('Markdown of our own makes nothing of HTML and of links that run', async () => {
  const made = String(
    await markdown(
      '# A <x-evil>\n\n[one](javascript:evil) [two](//evil.example) [three](/docs) `<b>`\n\n| a |\n|---|\n| <i> |',
    ),
  )
  expect(made).toContain('<h1>A &lt;x-evil&gt;</h1>')
  expect(made).not.toMatch(/href="(?!\/docs)/)
  expect(made).toContain('<a href="/docs">three</a>')
  expect(made).toContain('<code>&lt;b&gt;</code>')
  expect(made).toContain('<td>&lt;i&gt;</td>')
})
