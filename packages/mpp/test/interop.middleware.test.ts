/** Our methods behind mppx's own middleware for Express and Hono, paid by mppx's own client, as published. */
import { createServer } from 'node:http'
import { createDrainClient } from '@drain/consumer'
import { session as paySessions } from '@drain/mpp/client'
import { charge, session } from '@drain/mpp/server'
import type { Paywall } from '@drain/provider'
import { getRequestListener } from '@hono/node-server'
import express from 'express'
import { Hono } from 'hono'
import { Challenge, Receipt } from 'mppx'
import { evm, Mppx } from 'mppx/client'
import * as onExpress from 'mppx/express'
import * as onHono from 'mppx/hono'
import { Mppx as MppxServer } from 'mppx/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type App, listening } from '../../provider/test/apps.ts'
import { type Fixture, startFixture } from '../../provider/test/fixture.ts'
import { cheapGas } from './charging.ts'

const tokenDomain = { name: 'USD Coin', version: '2' }
const price = 20_000n

let fixture: Fixture
let paywall: Paywall
beforeAll(async () => {
  fixture = await startFixture()
  paywall = fixture.paywall()
  await paywall.ready()
})
afterAll(() => fixture?.close())

/** What a server of mppx is made of: both our methods, and a secret. */
const config = () => ({
  methods: [session({ paywall }), charge({ ...cheapGas, paywall, tokenDomain })] as const,
  secretKey: 'a secret of tests, at least 32 bytes',
})

/** Both offers as one: the middlewares have no `compose` of their own, but take what the server's makes. */
function both() {
  const core = MppxServer.create(config())
  const amount = '0.02'
  return (_options: Record<string, never>) =>
    core.compose(['drain/session', { amount }], ['evm/charge', { amount }])
}

const servers: Record<string, () => Promise<App>> = {
  Express() {
    const mppx = onExpress.Mppx.create(config())
    const app = express()
    const answer: express.RequestHandler = (_, response) => void response.json({ joke: 'paid' })
    app.get('/session', mppx.drain.session({ amount: '0.02' }), answer)
    app.get('/charge', mppx.evm.charge({ amount: '0.02' }), answer)
    app.get('/both', onExpress.payment(both(), {}), answer)
    return listening(createServer(app))
  },
  Hono() {
    const mppx = onHono.Mppx.create(config())
    const app = new Hono()
    app.get('/session', mppx.drain.session({ amount: '0.02' }), (context) => context.json({ joke: 'paid' }))
    app.get('/charge', mppx.evm.charge({ amount: '0.02' }), (context) => context.json({ joke: 'paid' }))
    app.get('/both', onHono.payment(both(), {}), (context) => context.json({ joke: 'paid' }))
    return listening(createServer(getRequestListener(app.fetch)))
  },
}

function payer() {
  const client = createDrainClient({
    walletClient: fixture.chain.walletClient(fixture.consumer),
    deployment: fixture.chain.deployment,
    limits: { perRequest: '0.05', perChannel: '1' },
  })
  const drain = paySessions(client)
  const sessions = Mppx.create({ methods: [drain], fetch: drain.fetch, polyfill: false })
  const { chainId } = fixture.chain
  const method = evm.charge({
    ...{ account: fixture.consumer, authorization: tokenDomain, decimals: 6, maxAmount: '0.1' },
    ...{ currencies: [fixture.chain.deployment.token], networks: [chainId] },
  })
  const charges = Mppx.create({ methods: [method], polyfill: false })
  return { client, sessions, charges }
}

describe.each(Object.keys(servers))('on %s', (name) => {
  let app: App
  beforeAll(async () => {
    app = await (servers[name] as () => Promise<App>)()
  })
  afterAll(() => app?.close())

  test.each(['/session', '/both'])('a channel pays for %s', async (path) => {
    const { client, sessions } = payer()
    for (const spent of [price, 2n * price]) {
      const response = await sessions.fetch(app.origin + path)
      expect(await response.json()).toEqual({ joke: 'paid' })
      expect(Receipt.fromResponse(response)).toMatchObject({ method: 'drain', spent: `${spent}` })
    }
    const [channel] = await client.channels()
    expect(await client.channels()).toHaveLength(1)
    expect((await paywall.ledger.get(channel?.channelId ?? '0x'))?.charged).toBe(2n * price)
  })

  test.each(['/charge', '/both'])('an authorization pays for %s', async (path) => {
    const before = await fixture.balance(fixture.provider.address)
    const response = await payer().charges.fetch(app.origin + path)
    expect(await response.json()).toEqual({ joke: 'paid' })
    expect(Receipt.fromResponse(response)).toMatchObject({
      method: 'evm',
      reference: expect.stringMatching(/^0x/),
    })
    expect(await fixture.balance(fixture.provider.address)).toBe(before + price)
  })

  test('whoever doesn’t pay is offered both', async () => {
    const response = await fetch(`${app.origin}/both`)
    expect(response.status).toBe(402)
    expect(Challenge.fromResponseList(response).map(({ method }) => method)).toEqual(['drain', 'evm'])
  })
})
