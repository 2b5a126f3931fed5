import pino from 'pino'
import type { Address } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { dollars, type FundChain, openFunds, startFundChain } from '../../test/fundRooms.ts'
import { createApi } from '../http/createApi.ts'
import { createRateLimit } from '../http/RateLimit.ts'
import type { Settings } from '../settings.ts'
import type { Database } from '../store/Database.ts'
import { openSqlite } from '../store/sqlite.ts'
import { createFunds, type Funds } from './createFunds.ts'
import { fundPageData } from './fundPageData.ts'
import { fundRoutes } from './fundRoutes.ts'

const now = () => 1_800_000_000_000
let chain: FundChain
let database: Database
let funds: Funds
beforeAll(async () => {
  chain = await startFundChain()
  database = await openSqlite(':memory:')
  funds = (await openFunds(chain, database)).funds
})
afterAll(async () => {
  await database?.close()
  await chain?.close()
})

function serve(funds: Funds) {
  const app = createApi({
    routes: fundRoutes({ now }, funds),
    operators: {
      operatorOf: async (request: Request) => request.headers.get('authorization') ?? undefined,
    } as Parameters<typeof createApi>[0]['operators'],
    limit: createRateLimit(200, now),
    proxies: 0,
    log: pino({ level: 'silent' }),
  })
  return async (method: string, path: string, body?: object, headers = {}, remoteAddress = '127.0.0.1') => {
    const init = { method, headers, ...(body && { body: JSON.stringify(body) }) }
    const response = await app.request(`https://market.example${path}`, init, {
      incoming: { socket: { remoteAddress } },
    })
    return { status: response.status, body: await response.json() }
  }
}

test('are off where nothing is to be given', async () => {
  const ask = serve(createFunds({ settings: {} as Settings, database, log: pino({ level: 'silent' }), now }))
  const address = '0x97439450fad8449dd81a6eb79fc98c393dbdec58'
  for (const path of ['/api/gas-station', '/api/join/AAAAA'])
    expect(await ask('POST', path, { address })).toMatchObject({ status: 404, body: { code: 'off' } })
})

test('the gas station tells what was sent, and how far it is', async () => {
  const ask = serve(funds)
  const { address } = await chain.wallet({ usdc: dollars(5) })
  const given = await ask('POST', '/api/gas-station', { address })
  expect(given).toMatchObject({
    status: 200,
    body: { gas: '0.1', usdc: '0', state: 'sent', chainId: 31_337 },
  })
  expect(given.body.transactions).toEqual([
    { part: 'gas', hash: expect.stringMatching(/^0x[0-9a-f]{64}$/), state: 'signed' },
  ])
  await expect.poll(() => funds.resume()).toBe(0)
  const { id } = given.body
  expect(await ask('GET', `/api/grants/${id}`)).toMatchObject({
    body: { state: 'done', transactions: [{ state: 'done' }] },
  })
  expect(await ask('GET', '/api/grants/1')).toMatchObject({ status: 400 })
  expect(await ask('POST', '/api/gas-station', { address: '0x12' })).toMatchObject({ status: 400 })
  expect(await ask('POST', '/api/gas-station', { address, gas: '100' })).toMatchObject({ status: 400 })
})

test('operators make invites, which are used once, and guessing is limited', async () => {
  const ask = serve(funds)
  const wanted = { count: 2, gas: '0.05', usdc: '2.5', expiresInDays: 7 }
  expect(await ask('POST', '/api/invites', wanted)).toMatchObject({ status: 401 })
  const operator = { Authorization: 'operator' }
  const made = await ask('POST', '/api/invites', wanted, operator)
  expect(made).toMatchObject({ status: 201, body: { codes: [expect.any(String), expect.any(String)] } })
  for (const wrong of [{ count: 101 }, { gas: '-1' }, { usdc: '1e3' }, { gas: '0', usdc: '0' }])
    expect(await ask('POST', '/api/invites', { ...wanted, ...wrong }, operator)).toMatchObject({
      status: 400,
    })

  const [code, other] = made.body.codes
  const { address } = await chain.wallet()
  expect(await ask('POST', `/api/join/${code}`, { address })).toMatchObject({
    status: 200,
    body: { usdc: '2.5', gas: '0.05' },
  })
  const stranger = (await chain.wallet()).address
  expect(await ask('POST', `/api/join/${code}`, { address: stranger })).toMatchObject({ status: 404 })
  const guesses = []
  for (let guess = 0; guess < 20; guess++)
    guesses.push(
      (await ask('POST', `/api/join/GUESS-${guess}`, { address: stranger }, {}, '203.0.113.9')).status,
    )
  expect(guesses.filter((status) => status === 404).length).toBeLessThan(10)
  expect(guesses.at(-1)).toBe(429)

  const page = fundPageData(funds)
  expect(await page.invite(other)).toMatchObject({ state: 'open', usdc: '2.5' })
  const request = new Request('https://market.example/')
  await expect(page.join(other, 'me', request)).rejects.toThrow('no address')
  expect(await page.join(other, ` ${stranger} `, request)).toMatch(
    /^2\.5 USDC and 0\.05 for gas are on their way, in transactions 0x/,
  )
  await expect.poll(() => funds.resume()).toBe(0)
  expect(await page.join(other, stranger as Address, request)).toMatch(/are in the wallet/)
})

test('what is under way gets on by itself, until it is stopped', async () => {
  const { address } = await chain.wallet({ usdc: dollars(5) })
  const { grant } = await funds.askForGas({ address, network: 'elsewhere' })
  const running = funds.start(20)
  await expect.poll(async () => (await funds.get(grant.id))?.grant.state).toBe('done')
  await running.stop()
})
