/** The same handler behind our adapters, paid for or free. */
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import type { RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createPaywall, type Paywall, type SchemeFactory } from '@drain/provider'
import * as express from '@drain/provider/express'
import * as fastify from '@drain/provider/fastify'
import * as hono from '@drain/provider/hono'
import * as node from '@drain/provider/node'
import { sqliteLedger } from '@drain/provider/sqlite'
import { getRequestListener } from '@hono/node-server'
import expressApp from 'express'
import fastifyApp from 'fastify'
import { Hono } from 'hono'
import type { Address, Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { listen } from './listen.ts'
import { answer, path, price, type Server } from './Server.ts'

/** Where the chain is, and who is paid. */
export type Place = { chainId: number; rpcUrl: string; contract: Address; token: Address; providerKey: Hex }

export const adapters = ['node', 'fastify', 'hono', 'express'] as const
export type Adapter = (typeof adapters)[number]

/**
 * With a `place` the handler is paid for, on a fresh ledger; without, it is free. `mpp`: its 402 offers `drain/session` and
 * `evm/charge` as well.
 */
export async function start({
  adapter,
  place,
  mpp = false,
}: {
  adapter: Adapter
  place?: Place
  mpp?: boolean
}): Promise<Server> {
  if (!place) return { ...(await listen(await apps[adapter](undefined))), paid: async () => 0 }
  const folder = await mkdtemp(join(tmpdir(), 'drain-bench-'))
  const { chainId, rpcUrl, contract, token, providerKey } = place
  const paywall = createPaywall({
    account: privateKeyToAccount(providerKey),
    chainId,
    rpcUrl,
    contractAddress: contract,
    usdcAddress: token,
    ledger: sqliteLedger(join(folder, 'drain.db')),
    ...(mpp && { schemes: await schemes() }),
  })
  const server = await listen(await apps[adapter](paywall))
  return {
    port: server.port,
    async paid() {
      let charged = 0n
      for await (const channel of paywall.ledger.channels()) charged += channel.charged
      return Number(charged / price)
    },
    async close() {
      await server.close()
      await paywall.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const priceInUsdc = '0.0001'

/** Both offers. So small a price is worth a transfer only where gas costs next to nothing. */
async function schemes(): Promise<SchemeFactory[]> {
  const { drainSession, evmCharge } = await import('@drain/mpp/server')
  return [drainSession(), evmCharge({ nativePrice: '0.000001', minAmount: priceInUsdc })]
}

const apps: Record<Adapter, (paywall: Paywall | undefined) => RequestListener | Promise<RequestListener>> = {
  node(paywall) {
    const body = JSON.stringify(answer)
    const work: RequestListener = (_req, res) => {
      res.setHeader('Content-Type', 'application/json')
      res.end(body)
    }
    return paywall ? node.paid(paywall, priceInUsdc, work) : work
  },
  hono(paywall) {
    const app = new Hono()
    if (paywall) app.use(path, hono.paid(paywall, priceInUsdc))
    app.get(path, (context) => context.json(answer))
    return getRequestListener(app.fetch)
  },
  express(paywall) {
    const app = expressApp()
    if (paywall) app.use(path, express.paid(paywall, priceInUsdc))
    app.get(path, (_: unknown, res: { json(value: unknown): void }) => res.json(answer))
    return app
  },
  async fastify(paywall) {
    const app = fastifyApp()
    const options = paywall ? { preHandler: fastify.paid(paywall, priceInUsdc) } : {}
    app.get(path, options, async () => answer)
    await app.ready()
    return app.routing
  },
}
