import { existsSync, readFileSync, writeFileSync } from 'node:fs'

const results = new URL('results.json', import.meta.url)
const readme = new URL('README.md', import.meta.url)

/** What the figures are meant to reach, at least or at most. */
const atLeast: Record<string, number> = {
  verify_native_vs_viem: 22,
  verify_wasm_vs_viem: 7,
  verify_native_vs_raw: 0.7,
  http_paid_vs_mppx: 10,
  http_paid_vs_x402: 10,
  http_paid_vs_free: 0.35,
  http_402_vs_free: 0.6,
  ledger_1m_vs_10: 0.4,
  sign_native_vs_viem: 7,
  sign_wasm_vs_viem: 2.5,
  mpp_paid_vs_mppx: 8,
  mpp_client_serial_vs_mppx: 3,
  mpp_402_vs_free: 0.4,
}
const atMost: Record<string, number> = {
  settle_gas_per_channel: 18_300,
  recovery_ms: 2_000,
  round_trips_per_request: 1.01,
}

/** Merges figures into `results.json`, flat and sorted, and shows them all in the README's table. */
export function record(figures: Record<string, number>): void {
  const before: Record<string, number> = existsSync(results) ? JSON.parse(readFileSync(results, 'utf8')) : {}
  const merged = Object.entries({ ...before, ...figures })
    .map(([key, value]): [string, number] => [key, round(value)])
    .sort(([a], [b]) => (a < b ? -1 : 1))
  writeFileSync(results, `${JSON.stringify(Object.fromEntries(merged), undefined, 2)}\n`)
  const rows = merged.map(([key, value]) => `| \`${key}\` | ${value} | ${goalOf(key)} |`)
  const table = ['| figure | last run | goal |', '|---|---:|---:|', ...rows].join('\n')
  const text = readFileSync(readme, 'utf8')
  writeFileSync(readme, text.replace(/(<!-- results -->)[\s\S]*(<!-- \/results -->)/, `$1\n${table}\n$2`))
}

function goalOf(key: string): string {
  if (atLeast[key] !== undefined) return `≥ ${atLeast[key]}`
  return atMost[key] === undefined ? '' : `≤ ${atMost[key]}`
}

/** Whole numbers from 100 on, three digits below. */
function round(value: number): number {
  if (!Number.isFinite(value)) throw new RangeError(`A figure is no number: ${value}`)
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3))
}
