/** The list that agents read. */

import { request } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseProviders } from '../../mcp/src/directory/schema.ts'
import { listSchema } from '../src/listing/listingSchema.ts'
import { noHealth } from '../src/Provider.ts'
import { aProvider } from './aProvider.ts'
import { startTestDirectory, type TestDirectory } from './startTestDirectory.ts'

let market: TestDirectory
const path = '/api/mcp/providers'

beforeAll(async () => {
  market = await startTestDirectory()
  const { providers, snapshot } = market.directory.rooms
  const { profile, offer } = aProvider()
  for (let number = 0; number < 250; number++) {
    const id = `p${String(number).padStart(3, '0')}`
    await providers.add(
      aProvider({
        ...{ id, apiUrl: `https://${id}.example`, score: (number % 100) / 100 },
        tier: number % 2 === 0 ? 'community' : 'bittensor',
        protocol: number % 5 === 0 ? 'mpp' : 'drain',
        profile: {
          ...profile,
          name: id,
          category: number % 3 === 0 ? 'image' : 'llm',
          moreCategories: number % 10 === 0 ? ['audio'] : [],
        },
        offer: {
          ...offer,
          models: [
            { id: `model-${number % 7}`, name: 'M', inputPer1kTokens: '0.001', outputPer1kTokens: null },
          ],
        },
        health: {
          ...noHealth,
          status: number % 50 === 0 ? 'offline' : 'online',
          lastChecked: 1,
          latencyMs: number,
        },
      }),
    )
  }
  await providers.add(aProvider({ id: 'pending', apiUrl: 'https://pending.example', state: 'pending' }))
  const incomplete = { ...profile, logoUrl: '' }
  await providers.add(
    aProvider({ id: 'incomplete', apiUrl: 'https://incomplete.example', profile: incomplete }),
  )
  await snapshot.refresh()
})
afterAll(() => market?.close())

const list = async (query: string) => (await market.get(`${path}${query}`)).json
const ids = (answer: { providers: { id: string }[] }) => answer.providers.map(({ id }) => id)

describe('the list', () => {
  it('has the shape that is documented, and that drain-mcp reads', async () => {
    const answer = await list('')
    expect(listSchema.safeParse(answer).error).toBeUndefined()
    expect(answer).toMatchObject({ version: '1.0', count: 200, _meta: { total: 245 } })
    expect(parseProviders(answer)).toHaveLength(200)
    expect(parseProviders(await list('?format=compact'))).toHaveLength(200)
  })

  it('shows neither what waits for review nor what is incomplete', async () => {
    for (const query of ['?online=false&search=pending', '?online=false&search=incomplete']) {
      expect((await list(query)).count).toBe(0)
    }
  })

  it.each([
    ['?category=image', 84 - 2],
    ['?category=audio', 25 - 5],
    ['?protocol=mpp', 50 - 5],
    ['?tier=bittensor', 125],
    ['?model=MODEL-3', 36 - 1],
    ['?minScore=0.95', 10],
    ['?online=false', 250],
    ['?search=p01', 10],
    ['?category=image&tier=bittensor&protocol=drain', 34],
  ])('%s leaves %i', async (query, total) => {
    expect((await list(query))._meta.total).toBe(total)
  })

  it('has the best first, and goes on where a page ended, also when things change', async () => {
    const first = await list('?limit=100&online=false')
    const scores = first.providers.map(({ qualityScore }: { qualityScore: number }) => qualityScore)
    expect(scores).toEqual([...scores].sort((one, other) => other - one))
    const gone = first.providers.at(-1).id
    await market.directory.rooms.providers.update(gone, () => ({ state: 'suspended' }))
    await market.directory.rooms.snapshot.refresh()
    const seen = ids(first)
    for (let cursor = first._meta.nextCursor; cursor; ) {
      const page = await list(`?limit=100&online=false&cursor=${cursor}`)
      seen.push(...ids(page))
      cursor = page._meta.nextCursor
    }
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen).toHaveLength(250)
    await market.directory.rooms.providers.update(gone, () => ({ state: 'approved' }))
    await market.directory.rooms.snapshot.refresh()
  })

  it.each([
    '?categry=llm',
    '?category=LLM',
    '?limit=0',
    '?limit=201',
    '?limit=1.5',
    '?minScore=2',
    '?minScore=NaN',
    '?online=yes',
    '?format=xml',
    '?cursor=abc',
    '?model=',
    '?limit=1&limit=2',
    '?__proto__=1',
    '?protocol=constructor',
  ])('refuses %s, and says what is wrong', async (query) => {
    const { status, json } = await market.get(`${path}${query}`)
    expect([status, json.code]).toEqual([400, 'invalid_request'])
    expect(json.title).toMatch(/parameter|query/)
  })

  it('is 304 to whoever has it already', async () => {
    const { headers } = await market.get(`${path}?tier=bittensor`)
    const etag = headers.get('etag') as string
    expect((await market.get(`${path}?tier=bittensor`, { 'If-None-Match': etag })).status).toBe(304)
    expect((await market.get(`${path}?tier=bittensor`, { 'If-None-Match': `"x", ${etag}` })).status).toBe(304)
    expect((await market.get(`${path}?tier=community`, { 'If-None-Match': etag })).status).toBe(200)
  })

  it('has another tag once something in it has changed', async () => {
    const { headers } = await market.get(`${path}?search=p001`)
    await market.directory.rooms.providers.update('p001', () => ({ score: 0.77 }))
    await market.directory.rooms.snapshot.refresh()
    await expect
      .poll(async () => (await market.get(`${path}?search=p001`)).json.providers[0].qualityScore)
      .toBe(0.77)
    expect((await market.get(`${path}?search=p001`)).headers.get('etag')).not.toBe(headers.get('etag'))
  })

  it.each([
    ['gzip', true],
    ['br, gzip;q=0.5', true],
    ['gzip;q=0', false],
    ['identity', false],
  ])('for Accept-Encoding: %s is compressed: %s', async (encoding, isCompressed) => {
    const { body, headers } = await raw(`${market.url}${path}`, { 'Accept-Encoding': encoding })
    expect(headers['content-encoding']).toBe(isCompressed ? 'gzip' : undefined)
    const text = isCompressed ? gunzipSync(body) : body
    expect(JSON.parse(text.toString()).count).toBe(200)
  })
})

describe('the API', () => {
  it('describes itself as OpenAPI 3.1, every route of it', async () => {
    const { json } = await market.get('/api/openapi.json')
    expect(json.openapi).toBe('3.1.0')
    const parameters = json.paths[path].get.parameters.map(({ name }: { name: string }) => name)
    expect(parameters).toEqual([
      'category',
      'model',
      'protocol',
      'tier',
      'minScore',
      'search',
      'online',
      'format',
      'limit',
      'cursor',
    ])
    for (const operations of Object.values<Record<string, { responses: object }>>(json.paths)) {
      for (const { responses } of Object.values(operations)) expect(Object.keys(responses)).toContain('400')
    }
  })

  it('compares prices, the cheapest first', async () => {
    const { json } = await market.get('/api/directory/pricing?model=model-1')
    expect(json.models).toHaveLength(1)
    expect(json.models[0].offers.length).toBeGreaterThan(30)
  })

  it('tells what is signed', async () => {
    const { json } = await market.get('/api/drain/signing')
    expect(json.chains[0]).toMatchObject({ chainId: 31337, domain: { name: 'DrainChannel', version: '1' } })
  })

  it('answers what there isn’t with 404, as JSON', async () => {
    expect((await market.get('/api/nothing')).json.code).toBe('not_found')
    expect((await market.get('/api/directory/providers/__proto__')).status).toBe(404)
  })

  it('counts only the socket’s address, whatever a header says', async () => {
    const time = Date.now()
    const strict = await startTestDirectory({ requestsPerMinute: 3, now: () => time })
    try {
      const asked = (number: number) => strict.get(path, { 'X-Forwarded-For': `10.0.0.${number}` })
      const answers = []
      for (let number = 0; number < 5; number++) answers.push((await asked(number)).status)
      expect(answers).toEqual([200, 200, 200, 429, 429])
    } finally {
      await strict.close()
    }
  })
})

function raw(url: string, headers: Record<string, string>) {
  return new Promise<{ body: Buffer; headers: Record<string, unknown> }>((resolve, reject) => {
    request(url, { headers }, async (response) => {
      const parts: Buffer[] = []
      for await (const part of response) parts.push(part)
      resolve({ body: Buffer.concat(parts), headers: response.headers })
    })
      .on('error', reject)
      .end()
  })
}
