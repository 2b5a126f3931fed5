/** A JSON API that is paid per request: from a DRAIN channel, or without one by an authorization of its own. */
import { drainSession, evmCharge } from '@drain/mpp/server'
import { createPaywall, loadKey } from '@drain/provider'
import { endpoints, paid } from '@drain/provider/hono'
import { sqliteLedger } from '@drain/provider/sqlite'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import type { Hex } from 'viem'

const { CHAIN_ID, RPC_URL, CONTRACT_ADDRESS, USDC_ADDRESS, PUBLIC_URL, COIN_PRICE, DATABASE, PORT } =
  process.env
const price = '0.01'

export const paywall = createPaywall({
  account: await loadKey(),
  chainId: Number(CHAIN_ID ?? 137),
  rpcUrl: RPC_URL,
  contractAddress: CONTRACT_ADDRESS as Hex | undefined,
  usdcAddress: USDC_ADDRESS as Hex | undefined,
  publicUrl: PUBLIC_URL,
  name: 'Moon phases',
  ledger: sqliteLedger(DATABASE ?? 'drain.db'),
  schemes: [drainSession(), evmCharge({ nativePrice: COIN_PRICE ?? '0.25' })],
  routes: [{ method: 'GET', path: '/moon', summary: 'How full the moon is at a time (`at`)', price }],
})
await paywall.ready()

const app = new Hono()
app.use(endpoints(paywall))
app.get('/moon', paid(paywall, price), (context) => {
  const at = new Date(context.req.query('at') ?? Date.now())
  if (Number.isNaN(at.getTime())) return context.json({ error: '`at` is not a time.' }, 400)
  const age = ((at.getTime() - Date.UTC(2000, 0, 6, 18, 14)) / 86_400_000) % 29.530588
  return context.json({ at, lit: (1 - Math.cos((age / 29.530588) * 2 * Math.PI)) / 2 })
})
export const server = serve({ fetch: app.fetch, port: Number(PORT ?? 3000) }, ({ port }) =>
  console.log(`listening on http://127.0.0.1:${port}`),
)
process.once('SIGTERM', () => server.close(() => paywall.close()))
