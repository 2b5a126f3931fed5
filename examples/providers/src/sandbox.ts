/** Runs the JavaScript of strangers, safely and offline. */
import { createPaywall, Pricing } from '@drain-protocol/sdk'
import { sqliteLedger } from '@drain-protocol/sdk/sqlite'
import { textIn } from './body.ts'
import { describeRoute, describeTasks } from './describeTasks.ts'
import { Refusal } from './problem.ts'
import { Hono, listen, type ProviderOptions, type RunningProvider } from './provider.ts'
import { runSandboxed } from './runSandboxed.ts'
import { taskRoute } from './task.ts'

const models = { 'run-javascript': Pricing.flat('0.002') }
const limits = { ms: 2_000, memoryBytes: 32 * 1_048_576, outputBytes: 16_384 }
const longest = 32_768
/** Each takes a core for as long as it runs. */
const mostAtOnce = 2

export async function startSandbox({
  port,
  ledger = sqliteLedger('sandbox.db'),
  ...chain
}: ProviderOptions): Promise<RunningProvider> {
  const routes = [describeRoute(example, 'Runs JavaScript in a sandbox')]
  const paywall = createPaywall({ ...chain, ledger, name: 'JavaScript sandbox', models, routes, docs })
  let running = 0
  const app = new Hono()
  app.post(
    '/v1/chat/completions',
    taskRoute(paywall, ({ input }) => {
      const code = textIn(input, 'code', longest)
      return {
        quote: Pricing.cost(models['run-javascript']),
        async work() {
          if (running >= mostAtOnce)
            throw new Refusal(503, 'busy', 'Other programs run. Try again in a second.')
          running++
          try {
            // A program that fails has been run, and is charged; a sandbox that fails is not.
            return await runSandboxed(code, input.input ?? null, limits)
          } finally {
            running--
          }
        },
      }
    }),
  )
  return listen(paywall, app, port)
}

const example = {
  model: 'run-javascript',
  input: { code: 'console.log("adding"); input.reduce((sum, n) => sum + n, 0)', input: [1, 2, 3] },
  result: { ok: true, result: 6, logs: ['adding'] },
}

const docs = `run-javascript: {"code": string of up to ${longest} characters, "input": any JSON, left out or not}.

The program is a script of ECMAScript 2023. It finds "input", and console.log. Its result is the value of its last expression,
as JSON. There is nothing else: no import, require, fetch, files, timers or process, and nothing is waited for (a promise is {}).
A program that throws or is stopped is answered {"ok": false, "error": "TypeError: …", "logs": […]}, and charged like any other.
Limits: ${limits.ms / 1_000} seconds ("InternalError: interrupted"), ${limits.memoryBytes / 1_048_576} MiB ("InternalError: out of memory"), ${limits.outputBytes} characters of result, as many of logs;
those beyond are left out. Each program has an engine of its own, and nothing of it stays.

What the sandbox keeps programs from: files, environment, network and processes of the server, other programs, endless loops
and memory. It is QuickJS in WebAssembly, in a process of Node's permission model. What it doesn't promise: that there is
no flaw in these; that the operator doesn't see your code and input; that nobody measures the machine's load by time (Date).

${describeTasks([example])}`
