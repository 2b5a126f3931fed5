/**
 * Requests per second over HTTP: paid through our adapters, with the durable ledger; the same handler free, and refused with a
 * 402; and the peers as published, with their in-memory stores. How and why: `README.md`.
 */
import { startLocalChain } from '@drain/consumer/testing'
import { drive } from './load/drive.ts'
import { createSubject, type Subject } from './load/Subject.ts'
import { median, quantile } from './median.ts'
import { createDrainPayer, placeOf } from './payers/drain.ts'
import { createMppxPayer } from './payers/mppx.ts'
import { createMppxSessionPayer } from './payers/mppxSession.ts'
import { type Payer, request } from './payers/Payer.ts'
import { createX402Payer } from './payers/x402.ts'
import { type Adapter, adapters } from './servers/drain.ts'
import { path } from './servers/Server.ts'
import { type SpawnedServer, spawn } from './servers/spawn.ts'
import { table } from './table.ts'

/** What the ratios are taken with: the framework that most Node servers run, and the one of x402's middleware. */
export const headline: Adapter = 'express'

/** One channel per connection, one that all connections share, and one for latencies. */
const [shared, quiet, channels] = [16, 17, 18]

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
    const ours = new Map<Adapter, Ours>()
    for (const adapter of adapters) {
      const paid = await open('drain', { adapter, place: placeOf(chain) })
      const free = await open('drain', { adapter })
      const payer = await createDrainPayer(chain, channels)
      ours.set(adapter, {
        servers: { paid, free },
        payer,
        paid: createSubject(`${adapter}, paid`, paid, { payer }),
        oneChannel: createSubject(`${adapter}, paid, one channel`, paid, { payer, channel: shared }),
        refused: createSubject(`${adapter}, 402`, paid, { status: 402 }),
        free: createSubject(`${adapter}, free`, free),
      })
    }
    const x402 = await open('x402')
    const mppx = await open('mppx')
    const mppxSession = await open('mppxSession')
    const peers = {
      mppx: createSubject('mppx, custom session', mppx, { payer: await createMppxPayer(mppx.port) }),
      x402: createSubject('x402, batch settlement', x402, { payer: await createX402Payer(x402.port) }),
      mppxSession: createSubject('mppx, tempo.session', mppxSession, {
        payer: await createMppxSessionPayer(mppxSession.port),
      }),
    }
    const main = ours.get(headline) as Ours
    const others = [...ours].filter(([adapter]) => adapter !== headline).map(([, subjects]) => subjects)
    // Ours and the peers take turns, so that whatever slows the machine down for a while slows all of them.
    const order = [
      main.paid,
      peers.mppx,
      main.free,
      peers.x402,
      main.refused,
      main.oneChannel,
      ...others.flatMap(({ paid, free, refused, oneChannel }) => [paid, free, refused, oneChannel]),
      peers.mppxSession,
    ]
    for (const subject of order) await subject.warmUp(seconds)
    const latency = { paid: [] as number[], free: [] as number[] }
    for (let round = 0; round < rounds; round++) {
      for (const subject of order) await subject.round(seconds)
      const requests = quick ? 100 : 500
      latency.paid.push(...(await latencies(main.servers.paid, main.payer.requests(quiet, requests))))
      latency.free.push(...(await latencies(main.servers.free, Array(requests).fill(request(path)))))
    }
    show(order)
    return report(ours, peers, latency)
  } finally {
    await Promise.allSettled(servers.map((server) => server.close()))
  }
}

type Ours = Record<'paid' | 'free' | 'refused' | 'oneChannel', Subject> & {
  servers: { paid: SpawnedServer; free: SpawnedServer }
  payer: Payer
}

/** Milliseconds of each request, one after the other over one connection. */
async function latencies(server: SpawnedServer, requests: Buffer[]): Promise<number[]> {
  const { statuses, latencies } = await drive(server.port, [requests])
  if (statuses.get(200) !== requests.length) throw new Error('A request for the latency was refused.')
  return [...latencies]
}

function show(subjects: readonly Subject[]): void {
  const rows = subjects.map(({ name, rounds }) => {
    const rates = rounds.map(({ perSecond }) => perSecond)
    const of = (pick: (round: Subject['rounds'][number]) => number) => median(rounds.map(pick))
    return [
      name,
      median(rates).toFixed(0),
      `${Math.min(...rates).toFixed(0)}–${Math.max(...rates).toFixed(0)}`,
      of(({ latencies }) => quantile([...latencies], 0.5)).toFixed(2),
      of(({ latencies }) => quantile([...latencies], 0.99)).toFixed(2),
      of(({ serverShare, perSecond }) => (serverShare * 1e6) / perSecond).toFixed(0),
      `${(of(({ serverShare }) => serverShare) * 100).toFixed(0)} %`,
      `${(of(({ loadShare }) => loadShare) * 100).toFixed(0)} %`,
    ]
  })
  table(
    [
      '16 connections',
      'requests/s',
      'range',
      'p50 ms',
      'p99 ms',
      'server CPU µs',
      'server core',
      'load core',
    ],
    rows,
  )
}

function report(
  ours: ReadonlyMap<Adapter, Ours>,
  peers: Record<'mppx' | 'x402' | 'mppxSession', Subject>,
  latency: { paid: number[]; free: number[] },
): Record<string, number> {
  const main = ours.get(headline) as Ours
  const figures: Record<string, number> = {
    http_paid_vs_mppx: ratio(main.paid, peers.mppx),
    http_paid_vs_x402: ratio(main.paid, peers.x402),
    http_paid_vs_free: ratio(main.paid, main.free),
    http_402_vs_free: ratio(main.refused, main.free),
    http_paid_rps: rateOf(main.paid),
    http_paid_one_channel_rps: rateOf(main.oneChannel),
    http_free_rps: rateOf(main.free),
    http_402_rps: rateOf(main.refused),
    http_mppx_rps: rateOf(peers.mppx),
    http_mppx_session_rps: rateOf(peers.mppxSession),
    http_x402_rps: rateOf(peers.x402),
    added_latency_p50_ms: quantile(latency.paid, 0.5) - quantile(latency.free, 0.5),
    added_latency_p99_ms: quantile(latency.paid, 0.99) - quantile(latency.free, 0.99),
  }
  const ratios: string[][] = []
  for (const [adapter, { paid, free, refused }] of ours) {
    figures[`http_paid_rps_${adapter}`] = rateOf(paid)
    figures[`http_paid_vs_free_${adapter}`] = ratio(paid, free)
    figures[`http_402_vs_free_${adapter}`] = ratio(refused, free)
    ratios.push([
      adapter,
      ...[ratio(paid, peers.mppx), ratio(paid, peers.x402), ratio(paid, free), ratio(refused, free)].map(
        (value) => value.toFixed(2),
      ),
    ])
  }
  console.log()
  table(['ratios', 'paid/mppx', 'paid/x402', 'paid/free', '402/free'], ratios)
  const [p50, p99] = [figures.added_latency_p50_ms ?? 0, figures.added_latency_p99_ms ?? 0]
  console.log(
    `\nPaying adds ${p50.toFixed(2)} ms (p50) and ${p99.toFixed(2)} ms (p99) on one connection, with ${headline}.`,
  )
  return figures
}

function rateOf({ rounds }: Subject): number {
  return median(rounds.map(({ perSecond }) => perSecond))
}

/** The median over the rounds of one rate by the other, each pair measured in the same half minute. */
function ratio(ours: Subject, theirs: Subject): number {
  return median(
    ours.rounds.map(({ perSecond }, round) => perSecond / (theirs.rounds[round]?.perSecond ?? Number.NaN)),
  )
}
