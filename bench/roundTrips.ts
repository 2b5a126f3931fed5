/**
 * How many requests the client needs for one that is paid: a proxy in front of each server counts all that arrive, price lists,
 * refusals and raised vouchers included. How and why: `README.md`.
 */
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDrainClient } from '@drain/consumer'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { startProvider } from '../examples/demo/src/startProcess.ts'
import { countRequests } from './load/countRequests.ts'
import { placeOf, privateKeyOf } from './payers/drain.ts'
import { path } from './servers/Server.ts'
import { spawn } from './servers/spawn.ts'
import { table } from './table.ts'

/** Half of the requests go out one by one, the others so many at once. */
const atOnce = 10

type Fetch = typeof globalThis.fetch
type Route = {
  name: string
  origin: string
  send(fetch: Fetch, origin: string, index: number): Promise<Response>
}

/** Figures: `round_trips_per_request` over all of them, and `round_trips_per_stream`. */
export async function measureRoundTrips({
  quick = false,
}: {
  quick?: boolean
}): Promise<Record<string, number>> {
  const requests = quick ? 100 : 1_000
  await using chain = await startLocalChain()
  const folder = await mkdtemp(join(tmpdir(), 'drain-bench-'))
  const priced = await spawn('drain', { adapter: 'express', place: placeOf(chain) })
  const chat = await startProvider({ chain, privateKey: privateKeyOf(chain.accounts[2]), folder })
  const counters = await Promise.all([priced.port, Number(new URL(chat.url).port)].map(countRequests))
  try {
    const [{ origin: pricedOrigin = '' } = {}, { origin: chatOrigin = '' } = {}] = counters
    const routes: Route[] = [
      { name: 'priced route', origin: pricedOrigin, send: (fetch, origin) => fetch(`${origin}${path}`) },
      {
        name: 'chat, quoted',
        origin: chatOrigin,
        send: (fetch, origin, index) => ask(fetch, origin, index, false),
      },
    ]
    const stream: Route = {
      name: 'chat, streamed',
      origin: chatOrigin,
      send: (fetch, origin, index) => ask(fetch, origin, index, true),
    }
    const count = () => {
      let sum = 0
      for (const counter of counters) for (const seen of counter.take().values()) sum += seen
      return sum
    }

    // The first requests of a client, with all that it has to learn, belong to the figure.
    const { fetch } = createClient(chain)
    const rows: string[][] = []
    let arrived = 0
    for (const route of routes) {
      await sendAll(fetch, route, requests / routes.length)
      const seen = count()
      arrived += seen
      rows.push(row(route.name, requests / routes.length, seen))
    }
    rows.push(row('both', requests, arrived))
    await sendAll(fetch, stream, requests / 10)
    const streamed = count()
    rows.push(row(stream.name, requests / 10, streamed))
    table(['round trips', 'paid', 'arrived', 'per request'], rows)
    return {
      round_trips_per_request: arrived / requests,
      round_trips_per_stream: streamed / (requests / 10),
    }
  } finally {
    await Promise.allSettled(counters.map((counter) => counter.close()))
    await priced.close()
    await chat[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  }
}

function createClient(chain: LocalChain) {
  return createDrainClient({
    account: chain.accounts[3],
    deployment: chain.deployment,
    rpcUrl: chain.rpcUrl,
    limits: { perRequest: '0.01', perChannel: '2', perDay: '100' },
  })
}

async function sendAll(fetch: Fetch, { name, origin, send }: Route, count: number): Promise<void> {
  const one = async (index: number) => {
    const response = await send(fetch, origin, index)
    const text = await response.text()
    if (response.status !== 200) throw new Error(`${name}: ${response.status} ${text}`)
  }
  for (let index = 0; index < count / 2; index++) await one(index)
  for (let index = count / 2; index < count; index += atOnce) {
    await Promise.all(Array.from({ length: Math.min(atOnce, count - index) }, (_, next) => one(index + next)))
  }
}

function ask(fetch: Fetch, origin: string, index: number, stream: boolean): Promise<Response> {
  return fetch(`${origin}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      model: 'drain-local',
      messages: [
        { role: 'user', content: `Question ${index}: ${'what is a channel? '.repeat(1 + (index % 5))}` },
      ],
      max_tokens: 32 + (index % 32),
      seed: index,
      stream,
    }),
  })
}

function row(name: string, paid: number, arrived: number): string[] {
  return [name, String(paid), String(arrived), (arrived / paid).toFixed(3)]
}
