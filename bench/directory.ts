/**
 * Requests per second of the directory's list: of 10,000 providers and of 100, asked again and asked anew, against Node's server with a
 * handler that does nothing. How and why: `README.md`.
 */
import { drive, type Round } from './load/drive.ts'
import { median, quantile } from './median.ts'
import { type SpawnedServer, spawn } from './servers/spawn.ts'
import { table } from './table.ts'

const connections = 16
const path = '/api/mcp/providers'
/** Some of a category, as an agent looks for them. In both directories there are more. */
const filtered = `${path}?category=llm&minScore=0.01&limit=5`

type Subject = { name: string; rounds: Round[]; round(seconds: number): Promise<void> }

export async function run({ quick = false }: { quick?: boolean }): Promise<Record<string, number>> {
  const [rounds, seconds] = quick ? [2, 0.5] : [5, 2]
  const servers: SpawnedServer[] = []
  const open = async (kind: string, options = {}) => {
    const server = await spawn(kind, options)
    servers.push(server)
    return server
  }
  try {
    const bare = await open('bare')
    const [large, small] = [
      await open('directory', { providers: 10_000 }),
      await open('directory', { providers: 100 }),
    ]
    const again =
      (target: string, headers = '') =>
      () =>
        get(target, headers)
    let count = 0
    /** Another question each time: nothing is prepared for it. */
    const anew = () => get(`${filtered.replace('0.01', `0.01${String(count++).padStart(8, '0')}`)}`)
    const { headers } = await fetch(`http://127.0.0.1:${large.port}${filtered}`)
    const known = `If-None-Match: ${headers.get('etag')}\r\n`
    const subjects = {
      bare: createSubject('nothing at all', bare, again('/')),
      large: createSubject('5 of 10,000, filtered', large, again(filtered)),
      small: createSubject('5 of 100, filtered', small, again(filtered)),
      known: createSubject('5 of 10,000, filtered, known (304)', large, again(filtered, known), 304),
      page: createSubject('200 of 10,000', large, again(path)),
      compact: createSubject('200 of 10,000, compact', large, again(`${path}?format=compact`)),
      largeAnew: createSubject('5 of 10,000, filtered, asked anew', large, anew),
      smallAnew: createSubject('5 of 100, filtered, asked anew', small, anew),
    }
    const all = Object.values(subjects)
    for (const subject of all) await subject.round(seconds)
    for (const subject of all) subject.rounds.length = 0
    for (let round = 0; round < rounds; round++) for (const subject of all) await subject.round(seconds)
    show(all)
    return {
      directory_list_vs_bare: ratio(subjects.large, subjects.bare),
      directory_list_304_vs_bare: ratio(subjects.known, subjects.bare),
      directory_10k_vs_100: ratio(subjects.large, subjects.small),
      directory_uncached_vs_bare: ratio(subjects.largeAnew, subjects.bare),
      directory_uncached_10k_vs_100: ratio(subjects.largeAnew, subjects.smallAnew),
      directory_list_rps: rateOf(subjects.large),
      directory_page_of_200_rps: rateOf(subjects.page),
      directory_uncached_rps: rateOf(subjects.largeAnew),
      directory_bare_rps: rateOf(subjects.bare),
    }
  } finally {
    await Promise.allSettled(servers.map((server) => server.close()))
  }
}

function createSubject(name: string, server: SpawnedServer, next: () => Buffer, status = 200): Subject {
  let rate = 200
  const rounds: Round[] = []
  return {
    name,
    rounds,
    async round(seconds) {
      const each = Math.max(10, Math.ceil((rate * seconds) / connections))
      const queues = Array.from({ length: connections }, () => Array.from({ length: each }, next))
      const round = await drive(server.port, queues)
      if (round.statuses.get(status) !== round.requests) {
        throw new Error(`${name}: answered ${[...round.statuses].join('; ')}, not all ${status}.`)
      }
      rate = round.perSecond
      rounds.push(round)
    },
  }
}

function get(target: string, headers = ''): Buffer {
  return Buffer.from(`GET ${target} HTTP/1.1\r\nHost: directory.example\r\n${headers}\r\n`)
}

function show(subjects: readonly Subject[]): void {
  const rows = subjects.map(({ name, rounds }) => {
    const rates = rounds.map(({ perSecond }) => perSecond)
    const of = (pick: (round: Round) => number) => median(rounds.map(pick))
    return [
      name,
      median(rates).toFixed(0),
      `${Math.min(...rates).toFixed(0)}–${Math.max(...rates).toFixed(0)}`,
      of(({ latencies }) => quantile([...latencies], 0.5)).toFixed(2),
      of(({ latencies }) => quantile([...latencies], 0.99)).toFixed(2),
    ]
  })
  table(['16 connections', 'requests/s', 'range', 'p50 ms', 'p99 ms'], rows)
}

const rateOf = ({ rounds }: Subject) => median(rounds.map(({ perSecond }) => perSecond))

/** The median over the rounds of one rate by the other, each pair measured in the same half minute. */
function ratio(ours: Subject, theirs: Subject): number {
  return median(
    ours.rounds.map(({ perSecond }, round) => perSecond / (theirs.rounds[round]?.perSecond ?? Number.NaN)),
  )
}
