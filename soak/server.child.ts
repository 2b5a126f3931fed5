/** The provider's server: a fixed price, a quoted one, and a metered stream. Another process settles. */
import type { Payment } from '@drain/provider'
import { input, lastLeap, tellReady } from './child.ts'
import { prices, type Work } from './prices.ts'
import { settings } from './settings.ts'
import { writeWorked } from './worked.ts'

const { createPaywall, sse } = await import('@drain/provider')
const { paid, send, serve } = await import('@drain/provider/node')
const { sqliteLedger } = await import('@drain/provider/sqlite')
const { privateKeyToAccount } = await import('viem/accounts')

const log = (message: string) => console.error(new Date(Date.now()).toISOString(), message)
const paywall = createPaywall({
  account: privateKeyToAccount(input.privateKey),
  chainId: settings.chainId,
  rpcUrl: input.rpcUrl,
  contractAddress: input.contract,
  usdcAddress: input.token,
  ledger: sqliteLedger(input.path, { log }),
  settle: false,
  terms: settings.terms,
  minPayout: settings.minPayout,
  finality: settings.finality,
  confirmations: () => settings.confirmations,
  adminToken: settings.adminToken,
  graceMs: 2_000,
  streams: { graceMs: 5_000 },
  log,
})

let requests = 0

const routes: Record<string, Parameters<typeof serve>[1]> = {
  '/fixed': paid(paywall, '0.001', async (req, res, payment) => {
    const { delayMs } = workOf(req.url)
    const work = watch(payment)
    await pause(delayMs)
    work.done(Number(prices.fixed))
    answer(res, 200, { cost: Number(prices.fixed) })
  }),
  '/quoted': paid(
    paywall,
    () => prices.quoted,
    async (req, res, payment) => {
      const { cost: wanted, delayMs, fails } = workOf(req.url)
      const cost = fails ? 0 : Math.min(wanted, Number(prices.quoted))
      const work = watch(payment)
      await pause(delayMs)
      work.done(cost)
      if (!fails) payment.charge(BigInt(wanted))
      answer(res, fails ? 500 : 200, { cost })
    },
  ),
  '/stream': paid(
    paywall,
    () => prices.stream,
    async (req, res, payment) => {
      const { cost, delayMs, events = 1 } = workOf(req.url)
      const work = watch(payment, { isStream: true })
      async function* metered() {
        for (let index = 1; index <= events; index += 1) {
          await pause(delayMs)
          work.done(cost)
          yield { data: JSON.stringify({ cost: index * cost }), cost: BigInt(index * cost) }
        }
      }
      await send(res, sse(payment, metered()))
    },
  ),
}

const { url, close } = await serve(
  paywall,
  (req, res) => {
    const route = routes[new URL(req.url ?? '/', 'http://soak.test').pathname]
    if (route) route(req, res)
    else answer(res, 404, {})
  },
  { port: input.port, signals: false },
)
tellReady(Number(new URL(url).port))

process.once('SIGTERM', async () => {
  await close()
  process.exit(0)
})

/** On a loaded machine a request's work begins so long after its reservation. */
const reservedBeforeMs = 15_000

/** Writes down what the work of a request comes to, and what its payment does. Of a stream's work not all need be sent. */
function watch(payment: Payment, { isStream = false } = {}): { done(cost: number): void } {
  const { channelId } = payment
  requests += 1
  const id = `${process.pid}/${requests}`
  const beganAt = performance.now()
  let worked = 0
  payment.settled.then(
    ({ cost }) => {
      // A leap ends reservations, and a channel that is closing owes nothing for late ones.
      const leapt = lastLeap() > beganAt - reservedBeforeMs
      const isExcused = isStream || leapt || payment.account.status !== 'open'
      writeWorked(input.path, { id, channelId, settled: Number(cost), due: isExcused ? undefined : worked })
    },
    () => {},
  )
  return {
    done(cost) {
      worked += cost
      writeWorked(input.path, { id, channelId, cost })
    },
  }
}

function workOf(url = ''): Work {
  return JSON.parse(new URL(url, 'http://soak.test').searchParams.get('work') ?? '')
}

function answer(res: Parameters<Parameters<typeof serve>[1]>[1], status: number, body: unknown): void {
  res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
