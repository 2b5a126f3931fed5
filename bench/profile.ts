/** Where a paid request's processor time goes: `npm run bench -- profile`. A look inside, not a figure to keep. */
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import type { Profiler } from 'node:inspector'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startLocalChain } from '@drain/consumer/testing'
import { headline } from './http.ts'
import { createSubject } from './load/Subject.ts'
import { createDrainPayer, placeOf } from './payers/drain.ts'
import { type Adapter, adapters } from './servers/drain.ts'
import { spawn } from './servers/spawn.ts'
import { table } from './table.ts'

export async function run({ quick = false }: { quick?: boolean }): Promise<Record<string, number>> {
  const adapter = (process.env.BENCH_ADAPTER ?? headline) as Adapter
  if (!adapters.includes(adapter)) throw new Error(`BENCH_ADAPTER is one of ${adapters.join(', ')}.`)
  const folder = mkdtempSync(join(tmpdir(), 'drain-profile-'))
  await using chain = await startLocalChain({ usdc: '1000000' })
  const server = await spawn('drain', { adapter, place: placeOf(chain) }, folder)
  const parts: { name: string; from: number; to: number; requests: number; perSecond: number }[] = []
  try {
    const payer = await createDrainPayer(chain, 16)
    for (const subject of [
      createSubject(`${adapter}, paid`, server, { payer }),
      createSubject(`${adapter}, 402`, server, { status: 402 }),
    ]) {
      await subject.warmUp(quick ? 1 : 4)
      const from = await server.clock()
      await subject.round(quick ? 1 : 4)
      const { requests = 0, perSecond = 0 } = subject.rounds[0] ?? {}
      parts.push({ name: subject.name, from, to: await server.clock(), requests, perSecond })
    }
  } finally {
    await server.close()
  }
  // The ledger's threads write profiles of their own; thread 0 is the one that serves.
  const file = readdirSync(folder).find((name) => name.endsWith('.0.001.cpuprofile')) ?? ''
  const profile = JSON.parse(readFileSync(join(folder, file), 'utf8')) as Profiler.Profile
  for (const { name, from, to, requests, perSecond } of parts) {
    console.log(`\n## ${name}: ${perSecond.toFixed(0)} requests/s\n`)
    show(profile, { from, to, requests })
  }
  console.log(`\nThe whole profile: ${join(folder, file)}`)
  return {}
}

/** Which part of the work a function belongs to; the first that fits. */
const kinds: [part: string, fits: (where: string, name: string) => boolean][] = [
  ['idle', (_, name) => name === '(idle)'],
  ['garbage collection', (_, name) => name === '(garbage collector)'],
  ['signature recovery', (where, name) => /secp256k1|recover/i.test(`${where} ${name}`)],
  ['hashing', (where, name) => /keccak|sha3|noble.hashes|crypto\/hash|^wasm/i.test(`${where} ${name}`)],
  [
    'SQLite',
    (where, name) =>
      /better-sqlite3|sqlite(File|Rows|Store)?\./i.test(where) || /^(Database|Statement)$/.test(name),
  ],
  ['ledger', (where) => /\/ledger\//.test(where)],
  ['logs and metrics', (where) => /\/observe\/|prom-client|pino/.test(where)],
  ['Request, Response, Headers', (where) => /undici|webstreams|node:internal\/url/.test(where)],
  ['voucher, payment, answer', (where) => /provider\/|core\//.test(where)],
  ['framework', (where) => /node_modules\/(?!\.pnpm\/viem)/.test(where)],
  [
    'Node’s HTTP, streams, sockets',
    (where, name) => /^node:/.test(where) || /^writev?$|^write\w+String$/.test(name),
  ],
  ['V8 and system', (where) => where === ''],
]

function show(
  { nodes, samples = [], timeDeltas = [], startTime }: Profiler.Profile,
  { from, to, requests }: { from: number; to: number; requests: number },
): void {
  const byId = new Map(nodes.map((node) => [node.id, node.callFrame]))
  const byFunction = new Map<string, number>()
  const byPart = new Map<string, number>()
  let total = 0
  let at = startTime
  samples.forEach((id, index) => {
    at += timeDeltas[index] ?? 0
    const frame = byId.get(id)
    if (!frame || at < from || at > to) return
    const spent = timeDeltas[index + 1] ?? 0
    const where = frame.url.replace(fileURLToPath(new URL('..', import.meta.url)), '')
    const part = kinds.find(([, fits]) => fits(where, frame.functionName))?.[0] ?? 'other'
    byPart.set(part, (byPart.get(part) ?? 0) + spent)
    if (part === 'idle') return
    total += spent
    const name = `${frame.functionName.slice(0, 40) || '(anonymous)'} ${where.split('/').slice(-2).join('/')}:${frame.lineNumber + 1}`
    byFunction.set(name, (byFunction.get(name) ?? 0) + spent)
  })
  const rows = (map: Map<string, number>, limit: number) =>
    [...map]
      .sort(([, a], [, b]) => b - a)
      .slice(0, limit)
      .map(([name, spent]) => [
        name,
        `${((spent / total) * 100).toFixed(1)} %`,
        (spent / requests).toFixed(1),
      ])
  table(['part (self time)', 'of busy', 'µs a request'], rows(byPart, 20))
  console.log()
  table(['function (self time)', 'of busy', 'µs a request'], rows(byFunction, 30))
}
