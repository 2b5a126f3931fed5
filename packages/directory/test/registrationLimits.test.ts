/** Those who come to fill the queue, to keep others out, or to come back where they were sent away. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { aProvider } from './aProvider.ts'
import { aListing, operatorToken, startTestDirectory, type TestDirectory } from './startTestDirectory.ts'

let market: TestDirectory
const register = '/api/directory/providers'
const bearer = { Authorization: `Bearer ${operatorToken}` }
const newAccount = () => privateKeyToAccount(generatePrivateKey())

beforeAll(async () => {
  market = await startTestDirectory({ review: false })
})
afterAll(() => market?.close())

const decide = (action: string, id: string) =>
  market.send('POST', '/api/operators/decisions', { action, id }, bearer)

async function aRegistration() {
  const provider = await market.startProvider(newAccount())
  const { account, url } = provider
  const body = await market.sign(account, 'provider.register', url, aListing(url, account))
  return { ...provider, body, sent: await market.send('POST', register, body) }
}

describe('a listing that an operator took off', () => {
  it('can’t be withdrawn to be registered anew, though nobody reviews what comes', async () => {
    const { account, sent, url } = await aRegistration()
    const { id, state } = sent.json
    expect(state).toBe('approved')
    await decide('suspend', id)
    const withdrawal = await market.sign(account, 'provider.withdraw', id, {})
    expect((await market.send('POST', `${register}/${id}/withdraw`, withdrawal)).json.code).toBe('suspended')
    const again = await market.sign(account, 'provider.register', url, aListing(url, account))
    expect((await market.send('POST', register, again)).json.code).toBe('already_registered')
  })

  it('waits for an operator where its server names another wallet', async () => {
    const { sent, url, account } = await aRegistration()
    const before = newAccount().address.toLowerCase()
    await market.directory.rooms.providers.update(sent.json.id, () => ({ owner: before }))
    await decide('suspend', sent.json.id)
    const again = await market.sign(account, 'provider.register', url, aListing(url, account))
    expect((await market.send('POST', register, again)).json.state).toBe('pending')
  })
})

it('a registration that was withdrawn doesn’t come back by the signature that it came with', async () => {
  const { account, sent, body } = await aRegistration()
  const { id } = sent.json
  const withdrawal = await market.sign(account, 'provider.withdraw', id, {})
  expect((await market.send('POST', `${register}/${id}/withdraw`, withdrawal)).status).toBe(200)
  expect((await market.send('POST', register, body)).json.code).toBe('signature_used')
  const kept = await market.directory.rooms.providers.get(id)
  expect(kept).toMatchObject({ offer: { models: [], docs: '' }, review: { checks: [] } })
})

it('one domain brings fifty listings in a day, whatever its names and wallets', async () => {
  const { providers, snapshot } = market.directory.rooms
  for (let number = 0; number < 50; number++) {
    const listing = {
      id: `flood-${number}`,
      apiUrl: `https://${number}.flood.example`,
      createdAt: Date.now(),
    }
    await providers.add(aProvider({ ...listing, owner: newAccount().address, state: 'withdrawn' }))
  }
  await snapshot.refresh()
  const account = newAccount()
  const url = 'https://another.flood.example'
  const body = await market.sign(account, 'provider.register', url, aListing(url, account))
  const { status, json } = await market.send('POST', register, body)
  expect([status, json.code]).toEqual([429, 'too_many_of_site'])
})

it('one network that tests what never answers leaves room for others', async () => {
  let asked = 0
  const silent = createServer(() => {
    asked++
  })
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const { port } = silent.address() as AddressInfo
  // A name for each, as a thief has: its own host is counted apart.
  const outward = ((_url: string) => fetch(`http://127.0.0.1:${port}`)) as never
  const strict = await startTestDirectory({ proxies: 1, outward })
  const refused: string[] = []
  async function test(network: string, name: number) {
    const response = await fetch(`${strict.url}/api/directory/test`, {
      ...{ method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Forwarded-For': network } },
      body: JSON.stringify({ apiUrl: `https://${name}.example` }),
    })
    refused.push(await response.text())
  }
  const held: Promise<unknown>[] = []
  try {
    for (let name = 0; name < 20; name++) held.push(test('1.1.1.1', name).catch(() => undefined))
    await expect.poll(() => refused.length).toBe(15)
    for (const text of refused) expect(text).toContain('tests_busy')
    expect(asked).toBeLessThanOrEqual(5)
    held.push(test('2.2.2.2', 99).catch(() => undefined))
    await expect.poll(() => asked).toBe(6)
  } finally {
    silent.closeAllConnections()
    await new Promise((resolve) => silent.close(resolve))
    await Promise.all(held)
    await strict.close()
  }
})
