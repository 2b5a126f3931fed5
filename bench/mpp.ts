/**
 * What MPP costs on top of a DRAIN channel, against mppx as published: paid requests per second at the server, a 402 with both
 * offers, and paid requests per second of a client that sends one after the other. How and why: `README.md`.
 */
import { createDrainClient, headersWire, localAccount } from '@drain/consumer'
import { type LocalChain, startLocalChain } from '@drain/consumer/testing'
import { drainWire } from '@drain/mpp/client'
import { headline } from './http.ts'
import { createSubject, type Subject } from './load/Subject.ts'
import { median } from './median.ts'
import { placeOf, privateKeyOf } from './payers/drain.ts'
import { createMppDrainPayer } from './payers/mppDrain.ts'
import { createMppxPayer } from './payers/mppx.ts'
import { createMppxFetch, createMppxOwnFetch } from './payers/mppxClient.ts'
import { type Adapter, adapters } from './servers/drain.ts'
import { path } from './servers/Server.ts'
import { type SpawnedServer, spawn } from './servers/spawn.ts'
import { table } from './table.ts'

const connections = 16

export async function run({ quick = false }: { quick?: boolean }): Promise<Record<string, number>> {
  const [rounds, seconds] = quick ? [2, 0.5] : [5, 2]
  await using chain = await startLocalChain({ usdc: '1000000' })
  const servers: SpawnedServer[] = []
  const open = async (kind: string, options = {}) => {
    const server = await spawn(kind, options)
    servers.push(server)
    return server
  }
  try {
    const ours = new Map<Adapter, Record<'paid' | 'free' | 'refused', Subject>>()
    const payers: { refresh(): Promise<void> }[] = []
    for (const adapter of adapters.filter((name) => name === headline || name === 'node')) {
      const paid = await open('drain', { adapter, place: placeOf(chain), mpp: true })
      const free = await open('drain', { adapter })
      const payer = await createMppDrainPayer(chain, paid.port, connections)
      payers.push(payer)
      ours.set(adapter, {
        paid: createSubject(`${adapter}, paid`, paid, { payer }),
        refused: createSubject(`${adapter}, 402, both offers`, paid, { status: 402 }),
        free: createSubject(`${adapter}, free`, free),
      })
    }
    const stock = await open('mppx', { verify: 'viem', channels: connections + 1 })
    const mppx = createSubject('mppx, own method, viem', stock, { payer: await createMppxPayer(stock.port) })
    const order = [
      ...[...ours.values()].map(({ paid }) => paid),
      mppx,
      ...[...ours.values()].flatMap(({ free, refused }) => [free, refused]),
    ]
    const asked = await open('drain', { adapter: 'node', place: placeOf(chain), mpp: true })
    const clients = await createClients(chain, asked, stock)
    for (const subject of order) await subject.warmUp(seconds)
    for (let round = 0; round < 2; round++) for (const client of clients) await client.round(seconds)
    for (let round = 0; round < rounds; round++) {
      for (const payer of payers) await payer.refresh()
      for (const subject of order) await subject.round(seconds)
      for (const client of clients) client.rates.push(await client.round(seconds))
    }
    return report(ours, mppx, clients)
  } finally {
    await Promise.allSettled(servers.map((server) => server.close()))
  }
}

type Client = {
  name: string
  /** Requests per second, of each round. */
  rates: number[]
  round(seconds: number): Promise<number>
}

/** Ours and mppx's at one server, where what differs is the client; and mppx's at its own. All have opened their channel before. */
async function createClients(
  chain: LocalChain,
  ours: SpawnedServer,
  stock: SpawnedServer,
): Promise<[ours: Client, mppx: Client, stock: Client]> {
  const account = localAccount(privateKeyOf(chain.accounts[2]))
  const client = createDrainClient({
    ...{ account, deployment: chain.deployment, rpcUrl: chain.rpcUrl },
    limits: { perRequest: '0.01', perChannel: '500', perDay: '500' },
    wires: [drainWire(), headersWire],
  })
  return [
    clientOf('ours, at ours', ours, client.fetch),
    clientOf('mppx, at ours', ours, await createMppxFetch(chain)),
    clientOf('mppx, at mppx', stock, createMppxOwnFetch(connections)),
  ]
}

function clientOf(name: string, server: SpawnedServer, fetch: typeof globalThis.fetch): Client {
  const url = `http://127.0.0.1:${server.port}${path}`
  return {
    name,
    rates: [],
    async round(seconds) {
      const [startedAt, before] = [performance.now(), await server.paid()]
      let sent = 0
      while (performance.now() - startedAt < seconds * 1_000) {
        const response = await fetch(url)
        if (response.status !== 200 || !response.headers.has('Payment-Receipt')) {
          throw new Error(`${name}: ${response.status} ${await response.text()}`)
        }
        await response.arrayBuffer()
        sent += 1
      }
      const perSecond = (sent * 1_000) / (performance.now() - startedAt)
      const paid = (await server.paid()) - before
      if (paid !== sent) throw new Error(`${name}: the books show ${paid} paid requests, ${sent} were made.`)
      return perSecond
    },
  }
}

function report(
  ours: ReadonlyMap<Adapter, Record<'paid' | 'free' | 'refused', Subject>>,
  mppx: Subject,
  [client, mppxAtOurs, mppxAtOwn]: [Client, Client, Client],
): Record<string, number> {
  const subjects = [...[...ours.values()].flatMap(({ paid, refused, free }) => [paid, refused, free]), mppx]
  table(
    ['16 connections', 'requests/s'],
    subjects.map((subject) => [subject.name, median(ratesOf(subject)).toFixed(0)]),
  )
  console.log()
  table(
    ['one after the other', 'requests/s'],
    [client, mppxAtOurs, mppxAtOwn].map(({ name, rates }) => [name, median(rates).toFixed(0)]),
  )
  const figures: Record<string, number> = {
    mpp_mppx_rps: median(ratesOf(mppx)),
    mpp_client_serial_rps: median(client.rates),
    mpp_client_serial_mppx_rps: median(mppxAtOurs.rates),
    mpp_client_serial_mppx_own_rps: median(mppxAtOwn.rates),
    mpp_client_serial_vs_mppx: ratio(client.rates, mppxAtOwn.rates),
    mpp_client_serial_vs_mppx_at_ours: ratio(client.rates, mppxAtOurs.rates),
  }
  for (const [adapter, { paid, refused, free }] of ours) {
    const suffix = adapter === headline ? '' : `_${adapter}`
    figures[`mpp_paid_rps${suffix}`] = median(ratesOf(paid))
    figures[`mpp_paid_vs_mppx${suffix}`] = ratio(ratesOf(paid), ratesOf(mppx))
    figures[`mpp_402_vs_free${suffix}`] = ratio(ratesOf(refused), ratesOf(free))
  }
  console.log()
  const goals = ['mpp_paid_vs_mppx', 'mpp_client_serial_vs_mppx', 'mpp_402_vs_free']
  table(
    ['ratios', ''],
    Object.entries(figures)
      .filter(([name]) => goals.some((goal) => name.startsWith(goal)))
      .map(([name, value]) => [name, value.toFixed(2)]),
  )
  return figures
}

const ratesOf = ({ rounds }: Subject) => rounds.map(({ perSecond }) => perSecond)

/** The median over the rounds of one rate by the other, each pair measured in the same half minute. */
function ratio(ours: readonly number[], theirs: readonly number[]): number {
  return median(ours.map((rate, round) => rate / (theirs[round] ?? Number.NaN)))
}
