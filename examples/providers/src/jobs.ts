/** A job that takes long: the request that makes it pays, and its result is fetched later, by whoever has its id. */
import { randomBytes } from 'node:crypto'
import { createPaywall, Pricing } from '@drain-protocol/sdk'
import { sqliteLedger } from '@drain-protocol/sdk/sqlite'
import { numberIn } from './body.ts'
import { countPrimes } from './countPrimes.ts'
import { describeRoute, describeTasks } from './describeTasks.ts'
import { problem, Refusal } from './problem.ts'
import { Hono, listen, type ProviderOptions, type RunningProvider } from './provider.ts'
import { taskRoute } from './task.ts'

const models = { 'prime-count': Pricing.flat('0.002') }
const largest = 20_000_000
/** Those that wait take time, those that are kept take memory. */
const [mostWaiting, mostKept] = [20, 10_000]

/** `progress` in percent. */
type Job = { status: 'queued' | 'running' | 'done' | 'failed'; progress: number; result?: unknown }

/** `keepMs`: how long a job can be fetched, from its payment on. An hour by default. */
export async function startJobs({
  port,
  ledger = sqliteLedger('jobs.db'),
  keepMs = 3_600_000,
  ...chain
}: ProviderOptions & { keepMs?: number }): Promise<RunningProvider> {
  const routes = [describeRoute(example, 'Makes a job that counts the primes up to a limit')]
  const paywall = createPaywall({ ...chain, ledger, name: 'Prime counter', models, routes, docs })
  // In memory: a job that must outlive its process belongs into a database, in the step that takes it on.
  const jobs = new Map<string, Job>()
  let queue = Promise.resolve() // One at a time.
  let waiting = 0
  const assertRoom = () => {
    if (waiting >= mostWaiting || jobs.size >= mostKept)
      throw new Refusal(503, 'busy', 'There are too many jobs. Try again in a minute.')
  }

  function make(upTo: number) {
    const id = randomBytes(16).toString('hex')
    const job: Job = { status: 'queued', progress: 0 }
    jobs.set(id, job)
    setTimeout(() => jobs.delete(id), keepMs).unref()
    waiting++
    queue = queue.then(() => run(job, upTo, () => jobs.has(id))).finally(() => waiting--)
    return { jobId: id, status: job.status, poll: `/v1/jobs/${id}`, expiresInSeconds: keepMs / 1_000 }
  }

  const app = new Hono()
  app.post(
    '/v1/chat/completions',
    taskRoute(paywall, ({ input }) => {
      const upTo = numberIn(input, 'upTo', { least: 2, most: largest, whole: true })
      assertRoom()
      const work = () => {
        // Others may have come between the payment and this. A refusal is not charged.
        assertRoom()
        return make(upTo)
      }
      return { quote: Pricing.cost(models['prime-count']), work }
    }),
  )
  app.get('/v1/jobs/:id', ({ req }) => {
    const job = jobs.get(req.param('id'))
    if (!job) return problem(404, 'not_found', 'There is no such job, or it has expired. Make it anew.')
    return Response.json(job, {
      headers: {
        'Access-Control-Allow-Origin': '*',
        'Cache-Control': 'private, no-store',
        'Retry-After': '1',
      },
    })
  })
  return listen(paywall, app, port)
}

async function run(job: Job, upTo: number, isWanted: () => boolean): Promise<void> {
  job.status = 'running'
  try {
    const primes = await countPrimes(upTo, (percent) => {
      if (!isWanted()) throw new Error('Nobody can fetch it any more.')
      job.progress = percent
    })
    Object.assign(job, { status: 'done', progress: 100, result: { upTo, primes } })
  } catch {
    job.status = 'failed'
  }
}

const made = { jobId: '<32 hex digits>', status: 'queued', poll: '/v1/jobs/<jobId>', expiresInSeconds: 3_600 }
const example = { model: 'prime-count', input: { upTo: 1_000_000 }, result: made }

const docs = `prime-count: {"upTo": whole number from 2 to ${largest}}. It makes a job, which is paid at once and runs later.

Then GET /v1/jobs/<jobId>, for nothing and as often as you like, once a second say, until "status" is "done" (it is "queued" or
"running" before): {"status":"done","progress":100,"result":{"upTo":1000000,"primes":78498}}. Nobody can fetch it without the id,
which can't be guessed. An hour after it was made a job is gone (404), and also if this server is restarted: make it anew. Where
${mostWaiting} wait already, new ones are refused (503), and not charged.

${describeTasks([example])}`
