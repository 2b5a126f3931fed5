/** Registering, changing, deciding; and those who try it with what isn't theirs. */

import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  aListing,
  operatorToken,
  startTestDirectory,
  type TestDirectory,
  type TestProvider,
} from './startTestDirectory.ts'

let market: TestDirectory
let provider: TestProvider
const register = '/api/directory/providers'
const bearer = { Authorization: `Bearer ${operatorToken}` }

beforeAll(async () => {
  market = await startTestDirectory()
})
afterAll(() => market?.close())
beforeEach(async () => {
  const account = privateKeyToAccount(generatePrivateKey())
  provider = await market.startProvider(account)
})

const listing = (changes: object = {}) => aListing(provider.url, provider.account, changes)
const signed = (body: object, options: object = {}) =>
  market.sign(provider.account, 'provider.register', provider.url, body, options)

async function registered(changes: object = {}): Promise<string> {
  const { status, json } = await market.send('POST', register, await signed(listing(changes)))
  expect([status, json.title]).toEqual([201, undefined])
  return json.id
}

async function decide(action: string, id: string): Promise<number> {
  const { status } = await market.send('POST', '/api/operators/decisions', { action, id }, bearer)
  return status
}

async function listedIds(): Promise<string[]> {
  const { json } = await market.get('/api/mcp/providers?online=false')
  return json.providers.map(({ id }: { id: string }) => id)
}

describe('a provider that registers', () => {
  it('is tested check by check, waits, and is listed once it is approved', async () => {
    const { status, json } = await market.send('POST', register, await signed(listing()))
    expect(status).toBe(201)
    expect(json.state).toBe('pending')
    expect(json.checks.map(({ name, passed }: { name: string; passed: boolean }) => [name, passed])).toEqual(
      ['reachable', 'pricing', 'address', 'models', 'docs', 'payment'].map((name) => [name, true]),
    )
    expect(market.directory.rooms.snapshot.listed.map(({ id }) => id)).not.toContain(json.id)
    expect(await decide('approve', json.id)).toBe(200)
    await expect.poll(listedIds).toContain(json.id)
    const shown = await market.get(`/api/directory/providers/${json.id}`)
    expect(shown.json).toMatchObject({
      state: 'approved',
      listed: true,
      missing: [],
      owner: provider.account.address.toLowerCase(),
    })
    expect(shown.json.models[0]).toMatchObject({
      id: 'small',
      pricing: { inputPer1kTokens: '0.001', currency: 'USDC' },
    })
  })

  it('is told what its profile lacks, and isn’t shown to agents until it is there', async () => {
    const id = await registered({ logoUrl: '', contactEmail: '' })
    await decide('approve', id)
    const { json } = await market.get(`${register}/${id}`)
    expect(json).toMatchObject({ listed: false, missing: ['a logo', 'a contact address'] })
    const change = { ...listing(), protocol: undefined, providerAddress: undefined }
    const body = await market.sign(provider.account, 'provider.update', id, change)
    expect((await market.send('PUT', `${register}/${id}`, body)).json).toMatchObject({
      state: 'approved',
      missing: [],
    })
    expect(market.directory.rooms.snapshot.listed.map((one) => one.id)).toContain(id)
  })

  it('is refused with the checks where the connection test does not pass, and nothing is kept', async () => {
    const bad = await market.startProvider(privateKeyToAccount(generatePrivateKey()), { docs: 'Short.' })
    const mine = aListing(bad.url, provider.account)
    const body = await market.sign(provider.account, 'provider.register', bad.url, mine)
    const { status, json } = await market.send('POST', register, body)
    expect([status, json.code]).toEqual([422, 'connection_test_failed'])
    expect(json.checks.find(({ name }: { name: string }) => name === 'address')).toMatchObject({
      passed: false,
    })
    expect(await market.directory.rooms.providers.at(bad.url)).toBeUndefined()
  })

  it('streams its checks one by one to whoever only wants to know', async () => {
    const body = { apiUrl: provider.url, providerAddress: provider.account.address }
    const response = await fetch(`${market.url}/api/directory/test`, {
      ...{ method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) },
    })
    const lines = (await response.text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines).toHaveLength(7)
    expect(lines[0]).toMatchObject({ name: 'reachable', passed: true })
    expect(lines.at(-1)).toEqual({ done: true, passed: true })
  })

  it('changes its name only with another look by an operator', async () => {
    const id = await registered()
    await decide('approve', id)
    const change = { ...listing({ name: 'Quite another' }), protocol: undefined, providerAddress: undefined }
    const body = await market.sign(provider.account, 'provider.update', id, change)
    expect((await market.send('PUT', `${register}/${id}`, body)).json.state).toBe('pending')
  })

  it('withdraws for good, and may come again', async () => {
    const id = await registered()
    const body = await market.sign(provider.account, 'provider.withdraw', id, {})
    expect((await market.send('POST', `${register}/${id}/withdraw`, body)).json.state).toBe('withdrawn')
    expect((await market.get(`${register}/${id}`)).status).toBe(404)
    expect(await registered()).not.toBe(id)
  })
})

describe('a stranger', () => {
  const stranger = privateKeyToAccount(generatePrivateKey())

  it('can’t register what pays somebody else', async () => {
    const body = await market.sign(stranger, 'provider.register', provider.url, listing())
    expect((await market.send('POST', register, body)).json.code).toBe('not_owner')
  })

  it('can’t register a server under an address that it doesn’t name', async () => {
    const body = await market.sign(
      stranger,
      'provider.register',
      provider.url,
      aListing(provider.url, stranger),
    )
    expect((await market.send('POST', register, body)).status).toBe(422)
  })

  it.each([
    ['changes one field', (body: Record<string, unknown>) => ({ ...body, description: 'Mine now.' })],
    ['drops one field', ({ website: _website, ...body }: Record<string, unknown>) => body],
    ['leaves the signature out', ({ signature: _signature, ...body }: Record<string, unknown>) => body],
    [
      'cuts the signature',
      (body: Record<string, unknown>) => ({ ...body, signature: `0x${'1'.repeat(130)}` }),
    ],
    [
      'says another time',
      (body: Record<string, unknown>) => ({ ...body, issuedAt: Number(body.issuedAt) + 1 }),
    ],
    ['names another chain', (body: Record<string, unknown>) => ({ ...body, chainId: 137 })],
  ])('who %s of a signed registration is refused', async (_, change) => {
    const { status } = await market.send('POST', register, change(await signed(listing())))
    expect([400, 401, 403]).toContain(status)
    expect(await market.directory.rooms.providers.at(provider.url)).toBeUndefined()
  })

  it('can’t use a signature for another directory, nor an old one, nor one of tomorrow', async () => {
    for (const options of [
      { directory: 'https://other.example' },
      { issuedAt: Date.now() - 700_000 },
      { issuedAt: Date.now() + 700_000 },
    ]) {
      const { status } = await market.send('POST', register, await signed(listing(), options))
      expect([401, 403]).toContain(status)
    }
  })

  it('can’t replay a change: the older of two signatures, or the same one again', async () => {
    const id = await registered()
    const change = (description: string) => ({
      ...listing({ description }),
      protocol: undefined,
      providerAddress: undefined,
    })
    const now = Date.now()
    const first = await market.sign(provider.account, 'provider.update', id, change('First.'), {
      issuedAt: now + 1_000,
    })
    const second = await market.sign(provider.account, 'provider.update', id, change('Second.'), {
      issuedAt: now + 2_000,
    })
    expect((await market.send('PUT', `${register}/${id}`, second)).status).toBe(200)
    for (const body of [first, second]) {
      expect((await market.send('PUT', `${register}/${id}`, body)).json.code).toBe('signature_used')
    }
    expect((await market.get(`${register}/${id}`)).json.description).toBe('Second.')
  })

  it('can’t use one action’s signature for another', async () => {
    const id = await registered()
    const body = await market.sign(provider.account, 'provider.update', id, {})
    expect((await market.send('POST', `${register}/${id}/withdraw`, body)).status).toBe(403)
  })

  it('takes a URL over only when its server names the new address', async () => {
    const id = await registered()
    const { url, account } = provider
    await provider.close()
    const next = privateKeyToAccount(generatePrivateKey())
    const body = await market.sign(next, 'provider.register', url, aListing(url, next))
    expect((await market.send('POST', register, body)).status).toBe(422)
    expect((await market.directory.rooms.providers.get(id))?.owner).toBe(account.address.toLowerCase())
  })

  it('decides nothing', async () => {
    const id = await registered()
    for (const headers of [
      {},
      { Authorization: 'Bearer wrong' },
      { Authorization: 'Bearer ' },
      { Cookie: 'drain_desk=a.b' },
    ]) {
      const { status } = await market.send(
        'POST',
        '/api/operators/decisions',
        { action: 'approve', id },
        headers,
      )
      expect(status).toBe(401)
    }
    expect((await market.get(`${register}/${id}`)).json.state).toBe('pending')
  })

  it('fills neither the list nor the queue: 20 listings of an owner', async () => {
    const owner = privateKeyToAccount(generatePrivateKey())
    const { providers } = market.directory.rooms
    const { aProvider } = await import('./aProvider.ts')
    for (let number = 0; number < 20; number++) {
      const mine = {
        owner: owner.address.toLowerCase(),
        state: 'pending' as const,
        apiUrl: `https://${number}.mine.example`,
      }
      await providers.add(aProvider({ ...mine, id: `mine-${number}` }))
    }
    const server = await market.startProvider(owner)
    const body = await market.sign(owner, 'provider.register', server.url, aListing(server.url, owner))
    expect((await market.send('POST', register, body)).json.code).toBe('too_many')
  })
})

describe('ten thousand registrations', () => {
  it('from one network are stopped after those that a minute allows', async () => {
    const time = Date.now()
    const strict = await startTestDirectory({ requestsPerMinute: 600, now: () => time })
    try {
      const answers = await Promise.all(
        Array.from({ length: 300 }, () => strict.send('POST', register, { name: 'x' })),
      )
      const accepted = answers.filter(({ status }) => status !== 429)
      expect(accepted).toHaveLength(20)
      expect(answers.find(({ status }) => status === 429)?.json.action).toMatch(/seconds/)
    } finally {
      await strict.close()
    }
  })
})

describe('what is sent', () => {
  it.each([
    ['no JSON', '{', 'invalid_json'],
    ['an array', '[]', 'invalid_json'],
    ['an unknown field', { nonsense: 1 }, 'invalid_request'],
    ['a URL with a password', { apiUrl: 'https://a:b@c.example' }, 'invalid_request'],
    ['a script as a website', { website: 'javascript:alert(1)' }, 'invalid_request'],
    ['a name that turns text around', { name: 'evil\u202eprovider' }, 'invalid_request'],
    ['a name of nothing', { name: '  ' }, 'invalid_request'],
    ['five categories', { moreCategories: ['llm', 'image', 'audio', 'video'] }, 'invalid_request'],
    ['a category that there isn’t', { category: '__proto__' }, 'invalid_request'],
    ['a chain that there isn’t', { chainId: 1 }, 'invalid_request'],
  ])('is refused for %s', async (_, changes, code) => {
    const body =
      typeof changes === 'string' ? changes : JSON.stringify({ ...(await signed(listing())), ...changes })
    const response = await fetch(`${market.url}${register}`, { method: 'POST', body })
    const { code: answered, title, action } = await response.json()
    expect([response.status, answered]).toEqual([400, code])
    expect(title).toBeTruthy()
    expect(action).toBeTruthy()
  })

  it('is refused when it is longer than 64 KiB', async () => {
    const body = JSON.stringify({ name: 'x'.repeat(70_000) })
    expect((await fetch(`${market.url}${register}`, { method: 'POST', body })).status).toBe(413)
  })
})
