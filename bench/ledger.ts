/**
 * How many requests per second a ledger lets through: pairs of `reserve` and `capture`, each on disk before the next step of
 * its request, with 10 to a million channels in store. `node bench/ledger.ts [--quick]`. How and why: `README.md`.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Account } from '../packages/provider/src/ledger/Account.ts'
import type { Ledger } from '../packages/provider/src/ledger/Ledger.ts'
import { postgresLedger } from '../packages/provider/src/ledger/postgres.ts'
import { fromRecord } from '../packages/provider/src/ledger/postgresRows.ts'
import { sqliteLedger } from '../packages/provider/src/ledger/sqlite.ts'
import { postgresBin, startPostgres } from '../packages/provider/test/startPostgres.ts'
import { fillSqlite } from './fillSqlite.ts'
import { median } from './median.ts'
import { table } from './table.ts'
import { channelOf, usedAccount, voucherOf } from './usedAccounts.ts'

const identity = {
  chainId: 31337,
  contract: '0x00000000000000000000000000000000000000cc',
  provider: '0x00000000000000000000000000000000000000bb',
} as const

/** Where a measurement takes place. `prepare` fills an empty one with channels that have been used today. */
type Store = {
  /** What the figures are called: `ledger_<name>_ops`. */
  name: string
  prepare(channels: number): Promise<void>
  open(durability: 'full' | 'normal'): Ledger
  dispose(): Promise<void>
}

/** Makes stores of a kind; undefined when this machine has none, which is said aloud. */
type StoreKind = () => Promise<Store | undefined>

const kinds: StoreKind[] = [sqlite, postgres]

export async function run({ quick = false }: { quick?: boolean }): Promise<Record<string, number>> {
  const figures: Record<string, number> = {}
  const rows: string[][] = []
  const seconds = quick ? 1 : 4
  const rounds = quick ? 1 : 5
  const sizes = quick ? [10, 10_000] : [10, 10_000, 1_000_000]

  for (const kind of kinds) {
    const stores: { channels: number; store: Store }[] = []
    try {
      for (const channels of sizes) {
        const store = await kind()
        if (!store) break
        stores.push({ channels, store })
        await store.prepare(channels)
      }
      const first = stores[0]?.store
      if (!first) continue
      const { name } = first
      const cases = stores.map(({ channels, store }) => ({
        ...{ channels, store, rates: [] as number[], concurrency: 64, durability: 'full' as const },
        key: `ledger_${name}_ops${channels === 10 ? '' : `_${channels}`}`,
      }))
      const ten = { store: first, channels: 10, rates: [] as number[] }
      const all = [
        ...cases,
        ...(name === 'sqlite'
          ? [
              {
                ...ten,
                rates: [] as number[],
                concurrency: 64,
                durability: 'normal' as const,
                key: `ledger_${name}_ops_normal`,
              },
            ]
          : []),
        {
          ...ten,
          rates: [] as number[],
          concurrency: 1,
          durability: 'full' as const,
          key: `ledger_${name}_ops_alone`,
        },
      ]
      const memory = new Map<number, number>()
      // In turns, so that what else the machine does meanwhile falls on all of them.
      for (let round = 0; round < rounds; round++) {
        for (const { channels, store, rates, concurrency, durability } of all) {
          const before = process.memoryUsage().rss
          const ledger = store.open(durability)
          rates.push(await serve(ledger, { channels, concurrency, seconds }))
          const grown = (process.memoryUsage().rss - before) / 2 ** 20
          memory.set(channels, Math.max(memory.get(channels) ?? 0, grown))
          await ledger.close()
        }
      }
      for (const { key, channels, concurrency, durability, rates } of all) {
        const rate = median(rates)
        if (channels === 10) figures[key] = Math.round(rate)
        rows.push([name, channels.toLocaleString('en'), String(concurrency), durability, rate.toFixed(0)])
      }
      if (name !== 'sqlite') continue
      const [atTen = [], atTenThousand, atMillion] = cases.map(({ rates }) => rates)
      const overTen = (rates: number[]) =>
        round2(median(rates.map((rate, round) => rate / (atTen[round] ?? Number.NaN))))
      if (atTenThousand) figures.ledger_10k_vs_10 = overTen(atTenThousand)
      if (atMillion) {
        figures.ledger_1m_vs_10 = overTen(atMillion)
        figures.ledger_memory_mb_1m = Math.round(memory.get(1_000_000) ?? Number.NaN)
      }
    } finally {
      for (const { store } of stores) await store.dispose()
    }
  }
  table(['store', 'channels', 'at once', 'durability', 'pairs/s'], rows)
  console.log()
  table(
    ['figure', ''],
    Object.entries(figures).map(([key, value]) => [key, String(value)]),
  )
  return figures
}

/** Serves requests on channels drawn uniformly, and says how many per second. */
async function serve(
  ledger: Ledger,
  { channels, concurrency, seconds }: { channels: number; concurrency: number; seconds: number },
): Promise<number> {
  const began = performance.now()
  const warm = began + 250 * Math.min(2, seconds)
  const until = warm + seconds * 1000
  let served = 0
  async function client(): Promise<void> {
    for (;;) {
      const now = performance.now()
      if (now >= until) return
      const index = Math.floor(Math.random() * channels)
      const count = nextNonce()
      const reserved = await ledger.reserve({
        channel: channelOf(index, identity.provider),
        voucher: voucherOf(count),
        quote: 5n,
      })
      if (!reserved.ok) throw new Error(reserved.code)
      const captured = await ledger.capture(reserved.reservationId, 3n)
      if (!captured.ok) throw new Error(captured.code)
      if (now >= warm) served += 1
    }
  }
  await Promise.all(Array.from({ length: concurrency }, client))
  return served / seconds
}

let nonce = 1_000

/** One counter for all channels: nonces rise on each, as they do for a real consumer, with gaps. */
function nextNonce(): bigint {
  nonce += 1
  return BigInt(nonce)
}

function* usedAccounts(count: number): Generator<Account> {
  for (let index = 0; index < count; index++) yield usedAccount(index, identity.provider)
}

async function sqlite(): Promise<Store> {
  const folder = mkdtempSync(join(tmpdir(), 'drain-bench-'))
  const path = join(folder, 'ledger.db')
  const open = (synchronous: 'full' | 'normal') => sqliteLedger(path, { synchronous })(identity)
  return {
    name: 'sqlite',
    open,
    async prepare(channels) {
      await open('full').close()
      fillSqlite(path, identity, usedAccounts(channels))
      if (channels >= 1_000_000) {
        const bytes = statSync(path).size / channels
        console.log(`${channels.toLocaleString('en')} channels of ${bytes.toFixed(0)} bytes each`)
      }
    },
    async dispose() {
      rmSync(folder, { recursive: true })
    },
  }
}

/** A server of its own, as Debian configures it: `fsync` and `synchronous_commit` are on. It has no other durability. */
async function postgres(): Promise<Store | undefined> {
  if (!postgresBin) return undefined
  const server = await startPostgres()
  const open = () => postgresLedger(server.connection, { log: () => {} })(identity)
  return {
    name: 'postgres',
    open,
    async prepare(channels) {
      const empty = open()
      await empty.ready()
      await empty.close()
      // All have the same history; what they are called is computed as in `channelOf`. The consumer also stands in the blob,
      // after its flags and a length.
      const {
        id: _,
        consumer: __,
        known: ___,
        ...row
      } = fromRecord({ account: usedAccount(0, identity.provider), leases: [] }, 1n, undefined)
      const consumer = "decode(lpad(to_hex(i + 1), 40, '0'), 'hex')"
      const values = Object.entries(row).map(([name, value]) => {
        if (name === 'rest') return `overlay('${value}'::bytea PLACING ${consumer} FROM 4 FOR 20)`
        return value === null ? 'NULL' : `'${value}'`
      })
      await server.sql(
        `INSERT INTO drain.channels (id, consumer, ${Object.keys(row)})
        SELECT sha256(convert_to(i::text, 'UTF8')), ${consumer}, ${values}
        FROM generate_series(0, ${channels - 1}) AS i`,
        'drain',
      )
      await server.sql('VACUUM ANALYZE drain.channels', 'drain')
    },
    dispose: () => server.close(),
  }
}

const round2 = (value: number) => Math.round(value * 100) / 100

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href)
  await run({ quick: process.argv.includes('--quick') })
