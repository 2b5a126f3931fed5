/** The page where an owner changes a listing: what it says without a script, and that nothing is lost on it. */
import { afterEach, expect, test } from 'vitest'
import { aMarket, type Market, shops } from '../../test/aMarket.ts'
import type { ProviderRecord } from '../Provider.ts'
import { toProfile } from '../register/profileSchema.ts'
import { changeSchema } from '../register/registrationSchema.ts'
import { createPages } from './createPages.ts'
import { changeCall } from './pages/change.ts'

let market: Market | undefined
afterEach(async () => {
  await market?.close()
  market = undefined
})

type Shown = Partial<Omit<ProviderRecord, 'profile'>> & { profile?: Partial<ProviderRecord['profile']> }

/** Northlight's, otherwise. */
async function read({ profile, ...changes }: Shown = {}, path = '/change', settings = {}): Promise<string> {
  const [shop] = shops()
  if (!shop) throw new Error('no shop')
  market = await aMarket([{ ...shop, ...changes, profile: { ...shop.profile, ...profile } }], settings)
  return (await createPages(market).request(`/providers/northlight${path}`)).text()
}

const owner = '0x97439450fAD8449Dd81a6eB79fC98C393DbDec58'
const token = `token:${'ab'.repeat(32)}`
const fieldIn = (text: string, name: string) =>
  new RegExp(` name="${name}"[^>]* value="([^"]*)"`).exec(text)?.[1]

test('has a field for all that a change may say, with what is said now', async () => {
  const text = await read({ profile: { mppEndpoint: '/pay', mppType: 'rest' } })
  const proof = new Set(['chainId', 'issuedAt', 'signature', 'tier'])
  for (const name of Object.keys(changeSchema.shape).filter((name) => !proof.has(name)))
    expect(text).toContain(` name="${name}"`)
  expect(fieldIn(text, 'apiUrl')).toBe('https://api.northlight.example')
  expect(fieldIn(text, 'name')).toBe('Northlight Inference')
  expect(fieldIn(text, 'website')).toBe('https://northlight.example')
  expect([fieldIn(text, 'minDuration'), fieldIn(text, 'maxDuration')]).toEqual(['3600', '604800'])
  expect(fieldIn(text, 'mppEndpoint')).toBe('/pay')
  for (const chosen of [
    '<option value="llm" selected>',
    '<option value="rest" selected>',
    'value="code" checked',
  ])
    expect(text).toContain(chosen)
  expect(text).toMatch(
    /<textarea [^>]*name="description"[^>]*>Open-weight language models on our own hardware in Tromsø/,
  )
  // Who is paid, and how, is said and can't be changed.
  expect(text).toContain('DRAIN channels')
  expect(text).not.toMatch(/ name="(?:protocol|providerAddress)"/)
})

test('leaves every sign of an accepted text where it is', async () => {
  const name = 'Café ❤️ 👩‍💻 "quoted" <b>می‌خواهم</b>'
  const text = await read({ profile: { name, description: `${name}\n\nA second line.` } })
  const escaped = name.replaceAll('"', '&quot;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  expect(fieldIn(text, 'name')).toBe(escaped)
  expect(text).toContain(`>${escaped}\n\nA second line.</textarea>`)
})

test('shows a call of the API that says what the listing says, all of it', async () => {
  await read()
  const [record] = market?.snapshot.all() ?? []
  if (!record) throw new Error('no record')
  const website = 'https://northlight.example/'
  const named = { ...record, profile: { ...record.profile, website, name: "Zoë’s ‘n’ 👩‍💻 O'Neill" } }
  const [, sent = ''] = /-d '([\s\S]*)'$/.exec(changeCall(named, 'https://market.example')) ?? []
  const { signature: _, hotkeySignature: _proof, ...body } = JSON.parse(sent)
  const { hotkey = null, ...given } = changeSchema.parse(body)
  expect(given).toMatchObject({ apiUrl: record.apiUrl, tier: 'bittensor', chainId: 31337 })
  expect(toProfile({ ...given, hotkey })).toEqual(named.profile)
})

test('of a wallet’s listing names the wallet, and says how it goes without a script', async () => {
  const text = await read()
  expect(text).toContain(`data-owner="${owner}"`)
  expect(text).toContain('<div id="wallets">')
  expect(text).not.toContain('name="token"')
  expect(text).toMatch(/<noscript>.*Without them use the API, as shown below/)
  for (const part of ['curl -X PUT', '/api/directory/providers/northlight/withdraw', 'provider.withdraw'])
    expect(text).toContain(part)
})

test('of a service without a wallet asks for its token, and doesn’t show what is kept of it', async () => {
  const text = await read({ protocol: 'mpp', owner: token })
  expect(text).toContain('data-owner=""')
  expect(text).toMatch(/type="password"[^>]* name="token"/)
  expect(text).toContain('The token is lost')
  expect(text).toContain('Authorization: Bearer $TOKEN')
  expect(text).not.toContain('ababab')
  expect(text).not.toContain('<div id="wallets">')
})

test.each([
  ['approved', true, 'With another name or another API URL it goes off the list'],
  ['approved', false, 'Changes show at once.'],
  ['pending', true, 'An operator has it in the queue'],
  ['rejected', true, 'then an operator looks at it again'],
  ['rejected', false, 'what passes the connection test is listed'],
  ['suspended', true, 'it stays off until an operator puts it back'],
] as const)('one that is %s, where review is %s, says what a change does', async (state, review, says) => {
  const text = await read({ state, review: { checks: [], testedAt: null, note: 'Mend it.' } }, '/change', {
    review,
  })
  expect(text).toContain(says)
  expect(text).toContain('Mend it.')
  expect(text).toContain('href="/providers/northlight/review"')
  expect(text.includes('data-confirm')).toBe(state !== 'suspended')
  expect(text.includes('can’t be withdrawn')).toBe(state === 'suspended')
})

test('one that was withdrawn has no form, and no other page leads there', async () => {
  const text = await read({ state: 'withdrawn' })
  expect(text).toContain('There is nothing to change.')
  expect(text).not.toContain('<form')
  await market?.close()
  for (const path of ['', '/review']) {
    expect(await read({ state: 'withdrawn' }, path)).not.toContain('/change"')
    await market?.close()
  }
})

test.each(['approved', 'pending', 'rejected', 'suspended'] as const)(
  'an owner gets there from its page and its review: %s',
  async (state) => {
    for (const path of ['', '/review']) {
      expect(await read({ state }, path)).toContain(
        '<a href="/providers/northlight/change">Change this listing</a>',
      )
      await market?.close()
    }
    market = undefined
  },
)

test('no search engine lists it, and there is none of nobody', async () => {
  await read()
  if (!market) throw new Error('no market')
  const pages = createPages(market)
  expect((await pages.request('/providers/northlight/change')).headers.get('x-robots-tag')).toBe('noindex')
  expect((await pages.request('/providers/nobody/change')).status).toBe(404)
})
