/** MPP services: registered with a wallet or without, and by those whose they aren't. */
import type { LocalAccount } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { type MppService, startMppService } from './startMppService.ts'
import {
  aListing,
  type Json,
  operatorToken,
  startTestDirectory,
  type TestDirectory,
} from './startTestDirectory.ts'

let market: TestDirectory
const services: MppService[] = []
const register = '/api/directory/providers'
const newAccount = () => privateKeyToAccount(generatePrivateKey())
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` })

beforeAll(async () => {
  market = await startTestDirectory()
})
afterAll(() => market?.close())
afterEach(async () => {
  for (const service of services.splice(0)) await service.close()
})

/** Its URL. */
async function startService(recipient?: string): Promise<string> {
  const service = await startMppService(recipient)
  services.push(service)
  return service.url
}

const listing = (url: string, changes: object = {}) => {
  const { providerAddress: _none, ...rest } = aListing(url, { address: '0x' })
  return { ...rest, protocol: 'mpp', ...changes }
}
const registerBare = (url: string, changes: object = {}) =>
  market.send('POST', register, listing(url, changes))
async function registerAs(account: LocalAccount, url: string, changes: object = {}) {
  const body = listing(url, { providerAddress: account.address, ...changes })
  return market.send('POST', register, await market.sign(account, 'provider.register', url, body))
}
const approve = (id: string) =>
  market.send('POST', '/api/operators/decisions', { action: 'approve', id }, bearer(operatorToken))
const stateOf = async (id: string) => (await market.directory.rooms.providers.get(id))?.state
const change = (url: string, changes: object) => {
  const { protocol: _fixed, ...rest } = listing(url, changes) as Json
  return rest
}

it('registers without a wallet, and its token alone changes it and takes it off', async () => {
  const url = await startService(newAccount().address)
  const { status, json } = await registerBare(url)
  expect([status, json.state]).toEqual([201, 'pending'])
  const { id, token } = json
  const record = await market.directory.rooms.providers.get(id)
  expect(JSON.stringify(record)).not.toContain(token)
  const other = (await registerBare(await startService())).json.token
  const wrong = [
    '',
    'wrong',
    other,
    operatorToken,
    record?.owner ?? '',
    (record?.owner ?? '').replace('token:', ''),
  ]
  const body = change(url, { description: 'Changed.' })
  for (const text of wrong) {
    for (const [method, path, sent] of [
      ['PUT', `${register}/${id}`, body],
      ['POST', `${register}/${id}/withdraw`, {}],
    ] as const) {
      expect((await market.send(method, path, sent, bearer(text))).json.code).toBe('token_wrong')
    }
  }
  const signed = await market.sign(newAccount(), 'provider.withdraw', id, {})
  expect((await market.send('POST', `${register}/${id}/withdraw`, signed)).json.code).toBe('token_wrong')
  expect((await market.send('PUT', `${register}/${id}`, body, bearer(token))).status).toBe(200)
  const shown = await market.get(`${register}/${id}`)
  expect(shown.json).toMatchObject({ description: 'Changed.', owner: null })
  const gone = await market.send('POST', `${register}/${id}/withdraw`, {}, bearer(token))
  expect(gone.json.state).toBe('withdrawn')
})

it('can’t be taken by somebody without a wallet, nor by a wallet that isn’t paid there', async () => {
  const url = await startService(newAccount().address)
  const { id } = (await registerBare(url)).json
  await approve(id)
  const bare = await registerBare(url, { name: 'Mine now' })
  expect([bare.status, bare.json.code, bare.json.token]).toEqual([409, 'url_taken', undefined])
  const signed = await registerAs(newAccount(), url, { name: 'Mine now' })
  expect([signed.status, signed.json.code]).toEqual([409, 'url_taken'])
  expect(await stateOf(id)).toBe('approved')
})

it('goes to the wallet that its challenge pays, whoever listed it before', async () => {
  const owner = newAccount()
  const url = await startService(owner.address)
  const squatters = [(await registerBare(url)).json.id]
  const { status, json } = await registerAs(owner, url)
  expect([status, await stateOf(squatters[0])]).toEqual([201, 'withdrawn'])
  expect((await market.directory.rooms.providers.at(url))?.id).toBe(json.id)

  const next = await startService(owner.address)
  const squatter = (await registerAs(newAccount(), next)).json.id
  expect((await registerAs(owner, next)).status).toBe(201)
  expect(await stateOf(squatter)).toBe('withdrawn')
})

it('is paid where its challenge says, whatever was said at its registration', async () => {
  const recipient = newAccount().address
  const thief = newAccount()
  const { id } = (await registerAs(thief, await startService(recipient))).json
  const famous = newAccount().address
  const bare = (await registerBare(await startService(), { providerAddress: famous })).json.id
  const { providers } = market.directory.rooms
  expect((await providers.get(id))?.offer.providerAddress).toBe(recipient)
  expect((await providers.get(bare))?.offer.providerAddress).toBeNull()
})

it('can’t take the place of a DRAIN provider that speaks MPP, too', async () => {
  const account = newAccount()
  const provider = await market.startProvider(account)
  const body = await market.sign(account, 'provider.register', provider.url, aListing(provider.url, account))
  const { id } = (await market.send('POST', register, body)).json
  await approve(id)
  const both = await startService(newAccount().address)
  // The same URL answers a thief's test with a challenge.
  await market.directory.rooms.providers.update(id, () => ({ apiUrl: both }))
  expect((await registerAs(newAccount(), both)).json.code).toBe('url_taken')
  expect(await stateOf(id)).toBe('approved')
})
