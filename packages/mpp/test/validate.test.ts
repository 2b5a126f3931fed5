/** Our server as the published package judges it: its discovery document, its challenges, what it makes of nonsense. */
import { createServer } from 'node:http'
import { Pricing } from '@drain/core'
import { drainSession, evmCharge } from '@drain/mpp/server'
import type { PaywallConfig } from '@drain/provider'
import { endpoints, paid } from '@drain/provider/express'
import express from 'express'
import { validate } from 'mppx/discovery'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { listening } from '../../provider/test/apps.ts'
import { type Fixture, startFixture } from '../../provider/test/fixture.ts'
import { cheapGas } from './charging.ts'
import { mppxValidate } from './mppxValidate.ts'

let fixture: Fixture
beforeAll(async () => {
  fixture = await startFixture()
})
afterAll(() => fixture?.close())

async function startShop(options: Partial<PaywallConfig>) {
  const paywall = fixture.paywall({ schemes: [drainSession(), evmCharge(cheapGas)], ...options })
  await paywall.ready()
  const app = express()
  app.use(endpoints(paywall))
  app.get('/joke', paid(paywall, '0.02'), (_, response) => void response.json({ joke: 'paid' }))
  app.post(
    '/v1/chat/completions',
    paid(paywall, '0.02'),
    (_, response) => void response.json({ choices: [] }),
  )
  return listening(createServer(app))
}

const requestBody = { content: { 'application/json': { example: { model: 'small', messages: [] } } } }
const shops: [string, Partial<PaywallConfig>, number][] = [
  [
    'routes',
    {
      routes: [
        { method: 'GET', path: '/joke', summary: 'A joke', price: '0.02' },
        { method: 'POST', path: '/v1/chat/completions', requestBody },
      ],
    },
    2,
  ],
  ['models', { models: { small: Pricing.flat('0.02') } }, 1],
]

test.each(shops)('a server that names its %s passes', async (_, options, routes) => {
  const shop = await startShop(options)
  try {
    const document = await (await fetch(`${shop.origin}/openapi.json`)).json()
    expect(validate(document)).toEqual([])
    const { report, exit } = await mppxValidate(shop.origin)
    expect(report.endpoints).toHaveLength(routes)
    expect(report.discovery).toMatchObject({ found: true, valid: true })
    const failed = report.endpoints
      .flatMap(({ challenge, errorHandling, payment }) => [...challenge, ...errorHandling, ...payment])
      .filter(({ status }) => status === 'fail')
    expect(failed).toEqual([])
    expect(report.summary.failed).toBe(0)
    expect(report.summary.passed).toBeGreaterThanOrEqual(8 * routes)
    expect(exit).toBe(0)
  } finally {
    await shop.close()
  }
})
