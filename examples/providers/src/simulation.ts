/** Time-based price: the quote covers the time that was asked for, the charge is the time that was used. */
import { setImmediate as pause } from 'node:timers/promises'
import { createPaywall, type Payment, Pricing } from '@drain-protocol/sdk'
import { sqliteLedger } from '@drain-protocol/sdk/sqlite'
import { numberIn } from './body.ts'
import { describeRoute, describeTasks } from './describeTasks.ts'
import { Refusal } from './problem.ts'
import { Hono, listen, type ProviderOptions, type RunningProvider } from './provider.ts'
import { taskRoute } from './task.ts'

const perMinute = Pricing.perMinute('0.06')
const models = { 'random-walk': perMinute }
const mostSeconds = 10
const mostAtOnce = 4
/** Walks that are simulated between two looks at the clock. */
const slice = 200

export async function startSimulation({
  port,
  ledger = sqliteLedger('simulation.db'),
  ...chain
}: ProviderOptions): Promise<RunningProvider> {
  const routes = [describeRoute(example, 'How far a random walk gets, to a precision or for a time')]
  const paywall = createPaywall({ ...chain, ledger, name: 'Random walks', models, routes, docs })
  const running = new Set<Payment>()
  const app = new Hono()
  app.post(
    '/v1/chat/completions',
    taskRoute(paywall, ({ input }) => {
      const seconds = numberIn(input, 'seconds', { least: 0.01, most: mostSeconds })
      const steps = numberIn(input, 'steps', { least: 1, most: 10_000, whole: true, fallback: 100 })
      const precision = numberIn(input, 'precision', { least: 0, most: 1, fallback: 0 })
      const most = Math.ceil(seconds * 1_000)
      return {
        quote: Pricing.cost(perMinute, { milliseconds: most }),
        async work(payment) {
          if (running.size >= mostAtOnce)
            throw new Refusal(503, 'busy', 'Others are being served. Try again.')
          running.add(payment)
          try {
            const done = await simulate({ most, steps, precision }, payment.signal)
            payment.charge(perMinute, { milliseconds: done.milliseconds })
            return done
          } finally {
            running.delete(payment)
          }
        },
      }
    }),
  )
  return listen(paywall, app, port)
}

/**
 * Mean distance after so many steps of ±1, until its standard error is below `precision` or the time is used up. Only its own turns
 * count as time, so that nobody pays for waiting for others. Whoever leaves pays for the time until then.
 */
async function simulate(
  { most, steps, precision }: { most: number; steps: number; precision: number },
  signal: AbortSignal,
) {
  let [walks, sum, squares, used] = [0, 0, 0, 0]
  for (;;) {
    const start = performance.now()
    for (let walk = 0; walk < slice; walk++) {
      let position = 0
      for (let step = 0; step < steps; step++) position += Math.random() < 0.5 ? -1 : 1
      sum += Math.abs(position)
      squares += position * position
    }
    walks += slice
    used += performance.now() - start
    const mean = sum / walks
    const error = Math.sqrt(Math.max(squares / walks - mean * mean, 0) / walks)
    if (error <= precision || used >= most || signal.aborted)
      return {
        walks,
        meanDistance: mean,
        standardError: error,
        milliseconds: Math.min(Math.ceil(used), most),
      }
    await pause()
  }
}

const done = { walks: 20_000, meanDistance: 7.98, standardError: 0.04, milliseconds: 31 }
const example = { model: 'random-walk', input: { seconds: 2, steps: 100, precision: 0.05 }, result: done }

const docs = `random-walk: {"seconds": up to ${mostSeconds}, "steps": whole number up to 10000 (default 100), "precision": 0 to 1 (default 0)}.
It simulates walks of so many steps of +1 or -1 and tells their mean distance from the start.

The price is 0.06 USDC per minute, that is 0.001 per second, by the millisecond. A request is quoted for all of its "seconds",
and charged for the time that the computation really took ("milliseconds" in the answer): less, when "precision" (the standard
error of the mean) is reached before. Ask for more seconds than you think it takes.

${describeTasks([example])}`
