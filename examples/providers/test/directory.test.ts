/** The directory that stands in for the marketplace, in front of a real provider. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Directory, startDirectory } from '../src/directory.ts'
import type { RunningProvider } from '../src/provider.ts'
import { startTextTools } from '../src/textTools.ts'
import { expectRefused, type Kit, postOf, startKit } from './kit.ts'

let kit: Kit
let provider: RunningProvider
let directory: Directory
const nobody = 'http://127.0.0.1:9'
beforeAll(async () => {
  kit = await startKit()
  provider = await kit.start(startTextTools)
  directory = await startDirectory({
    providers: [
      { url: provider.url, category: 'data', description: 'Counts and converts' },
      { url: provider.url },
      { url: nobody, id: 'nobody' },
    ],
  })
})
afterAll(async () => {
  await directory?.close()
  await kit?.close()
})

const list = async ({ url } = directory) => (await fetch(`${url}/api/mcp/providers`)).json()

it('lists providers as the marketplace does', async () => {
  const body = await list()
  expect(body).toEqual({
    version: '1.0',
    providers: expect.any(Array),
    count: 3,
    timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
    _meta: { note: expect.stringContaining('stand-in') },
  })
  expect(body.providers[0]).toEqual({
    id: 'text-and-unit-tools',
    name: 'Text and unit tools',
    description: 'Counts and converts',
    apiUrl: provider.url,
    providerAddress: kit.chain.accounts[1].address,
    chainId: 31_337,
    category: 'data',
    protocol: 'drain',
    qualityScore: 0.5,
    mppEndpoint: null,
    mppType: null,
    docsUrl: `${provider.url}/v1/docs`,
    status: { online: true, lastChecked: expect.stringMatching(/Z$/), latencyMs: expect.any(Number) },
    models: [
      {
        id: 'text-statistics',
        name: 'text-statistics',
        pricing: { inputPer1kTokens: '0.001', outputPer1kTokens: '0', currency: 'USDC', decimals: 6 },
      },
      expect.objectContaining({ id: 'unit-conversion' }),
    ],
  })
  expect(body.providers[1]).toMatchObject({ id: 'text-and-unit-tools-2', category: 'other' })
  expect(body.providers[2]).toMatchObject({
    id: 'nobody',
    name: '127.0.0.1:9',
    providerAddress: null,
    status: { online: false, latencyMs: null },
    models: [],
  })
})

it('tells what was known of a provider that is gone, and isn’t taken in by other answers', async () => {
  const answers = [
    'not JSON',
    '[]',
    '{}',
    'null',
    JSON.stringify({ provider: 1, models: 'x' }),
    'x'.repeat(2_000_000),
  ]
  let answer = JSON.stringify({ provider: '0x1', providerName: 'Brief', models: { a: null } })
  const server = createServer((_, res) => res.end(answer))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const own = await startDirectory({ providers: [{ url }] })
  const known = { id: 'brief', providerAddress: '0x1', models: [{ id: 'a' }] }
  expect((await list(own)).providers).toMatchObject([{ ...known, status: { online: true } }])
  for (answer of answers) {
    await own.refresh()
    expect((await list(own)).providers).toMatchObject([{ ...known, status: { online: false } }])
  }
  await own.close()
  await new Promise((resolve) => server.close(resolve))
})

describe('feedback', () => {
  const url = () => `${directory.url}/api/feedback`

  it('keeps the last hundred, and says that nothing comes of them', async () => {
    const given = {
      providerId: 'text-and-unit-tools',
      outcome: 'success',
      protocol: 'drain',
      signature: '0x12',
    }
    for (let count = 0; count < 102; count++) {
      const response = await fetch(url(), postOf({ ...given, reason: `number ${count}` }))
      expect([response.status, await response.json()]).toEqual([
        200,
        { ok: true, note: expect.stringContaining('not verified') },
      ])
    }
    const { feedback, count } = await (await fetch(url())).json()
    expect(count).toBe(100)
    expect(feedback[0]).toEqual({ ...given, reason: 'number 2', receivedAt: expect.stringMatching(/Z$/) })
  })

  it('refuses what is none', async () => {
    const right = { providerId: 'x', outcome: 'failure' }
    const wrong = [{ outcome: 'great' }, { providerId: 5 }, { protocol: 'cash' }, { reason: 'x'.repeat(501) }]
    for (const part of wrong) await expectRefused(url(), postOf({ ...right, ...part }), 400)
    for (const body of ['', '[]', 'x']) await expectRefused(url(), postOf(body), 400)
    await expectRefused(url(), postOf('x'.repeat(10_000)), 413)
    await expectRefused(`${directory.url}/nothing`, {}, 404)
  })
})
